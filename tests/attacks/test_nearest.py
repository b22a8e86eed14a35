"""What ``nearest`` knows of each image's ball: its random starts, its squeezing, and what the model confirms."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from advtool.attacks import nearest
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import difference_of_logits_ratio, targeted_difference_of_logits_ratio
from advtool.attacks.nearest import MOST_SHRINKING, SQUEEZES, Nearest, _aim, _Balls
from advtool.target.facts import Randomness
from advtool.target.scores import per_image_cross_entropy
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.linear import SHAPE, closed_form_smallest_eps, problem
from tests.support.models import Linear, NoisyInput


def balls_of(model: nn.Module, x: Tensor, y: Tensor, *, eps: float = 0.5, votes: int = 1) -> _Balls:
    kind = Randomness.none if votes == 1 else Randomness.each_image
    target = Target(model, input_shape=x.shape[1:], classes=2, votes=votes, randomness=kind)
    return _Balls(target, ThreatModel(eps=eps), 1, x, y, Candidates(x, y, target))


def test_an_example_is_squeezed_towards_the_boundary() -> None:
    """Of a linear model that is known. The examples lie up to a tenth beyond it, so bisection can reach it."""
    model, x, y, _ = problem(classes=2, seed=0, count=100)
    truth = closed_form_smallest_eps(model, x, y)
    x, y, truth = (each[(truth > 0.01) & (truth < 0.3)] for each in (x, y, truth))
    beyond = 1.01 + 0.08 * torch.rand(len(x), generator=torch.Generator().manual_seed(0))
    way = (model.weight[1 - y] - model.weight[y]).sign().view(-1, *SHAPE).detach()
    balls = balls_of(model, x, y)
    examples = balls.project(x + way, truth.float() * beyond)
    balls.meet(examples, balls.target.scores(examples))
    balls.close(torch.zeros(len(x)))
    assert balls.broken.all()
    last_interval = MOST_SHRINKING / 2**SQUEEZES
    assert (balls.reach >= truth * (1 - 1e-4)).all()
    assert (balls.reach <= truth * (1 + 1.1 * last_interval + 1e-4)).all()


@pytest.mark.parametrize(("eps", "reach", "searched"), [(0.02, 1.0, 0.02), (0.02, 2.0, 0.04), (0.4, 4.0, 1.0)])
def test_it_searches_as_far_as_its_reach_and_not_beyond_every_image(
    monkeypatch: pytest.MonkeyPatch, eps: float, reach: float, searched: float
) -> None:
    class Watched(_Balls):
        def __init__(self, target: Target, threat_model: ThreatModel, *rest: Any) -> None:
            super().__init__(target, threat_model, *rest)
            assert threat_model.eps == pytest.approx(searched)

    monkeypatch.setattr(nearest, "_Balls", Watched)
    model, x, y, _ = problem(classes=2, seed=0, count=50)
    target = Target(model, input_shape=SHAPE, classes=2)
    attack = Nearest(target, ThreatModel(eps=eps), reach=reach, rounds=1, steps=1)
    found = attack.search(x, y, torch.Generator().manual_seed(0))
    assert attack.threat_model.contains(found.x, x).all()
    truth = closed_form_smallest_eps(model, x, y)
    beyond = (truth > 1.1 * eps) & (truth < 0.9 * searched)
    assert beyond.any() == (reach == 2)
    assert (attack.threat_model.distance(found.x, x)[beyond] > eps - 1e-6).all(), "drawn to the surface of the ball"


def test_rounds_climb_the_ratio_cross_entropy_and_one_other_class_after_the_other() -> None:
    y, others = torch.tensor([0, 2]), torch.tensor([[1, 2, 0], [0, 1, 2]])  # the label comes last
    aims = [_aim(number, y, others) for number in range(9)]
    assert [loss for loss, _ in aims[:3]] == [
        difference_of_logits_ratio,
        per_image_cross_entropy,
        targeted_difference_of_logits_ratio,
    ]
    assert [goal.tolist() for _, goal in aims[2::3]] == [[[0, 1], [2, 0]], [[0, 2], [2, 1]], [[0, 1], [2, 0]]]


def test_random_starts_fill_the_ball_of_the_round() -> None:
    x, radius = torch.full((2, 1, 100, 100), 0.5), torch.tensor([0.4, 0.02])
    points = balls_of(Linear(torch.eye(2), torch.zeros(2)), x, torch.zeros(2).long()).random_points(
        radius, torch.Generator().manual_seed(0)
    )
    share = (points - x).abs().flatten(1) / radius[:, None]
    assert (share <= 1 + 1e-5).all()
    assert ((share.mean(1) - 0.5).abs() < 0.02).all()


def test_of_a_random_model_two_sets_of_votes_confirm_an_example() -> None:
    """The first image is surely wrong, the second at the boundary, and nobody asks about the third."""
    torch.manual_seed(0)
    weight = 20 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    model = NoisyInput(Linear(weight, torch.zeros(2)), 0.1).requires_grad_(False)
    x = torch.tensor([[0.3, 0.7], [0.5, 0.5], [0.3, 0.7]]).view(3, 1, 1, 2)
    balls = balls_of(model, x, torch.zeros(3).long(), votes=20)
    assert balls._confirmed(torch.tensor([True, True, False])).tolist() == [True, False, False]
    assert balls.found.queries.tolist() == [40, 20, 0]
