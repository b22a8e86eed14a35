"""Linear models, whose robust accuracy is known in closed form.

An image of class y survives every perturbation of the ball exactly if for every other class k
``(w_y - w_k) x + b_y - b_k > eps * ||w_y - w_k||_1``, as long as the clip range is out of reach.
"""

import pytest
import torch
from torch import Tensor

import advtool
from tests.models import Linear

EPS = 0.03
SHAPE = (1, 6, 6)


def problem(classes: int, seed: int, count: int = 400) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """A linear model, images out of the clip range's reach, labels, and which images are truly robust."""
    generator = torch.Generator().manual_seed(seed)
    size = SHAPE[1] * SHAPE[2]
    model = Linear(torch.randn(classes, size, generator=generator), torch.zeros(classes))
    x = EPS + (1 - 2 * EPS) * torch.rand(count, *SHAPE, generator=generator)
    with torch.no_grad():
        model.bias -= model(x).mean(0)
        y = model(x).argmax(1)
        y[::10] = (y[::10] + 1) % classes  # some that the model gets wrong
    slack = closed_form_slack(model, x, y)
    decided = slack.abs() > 1e-4  # float32 may fall on either side of a tie
    return model, x[decided], y[decided], (slack > 0)[decided]


def closed_form_slack(model: Linear, x: Tensor, y: Tensor, eps: float = EPS) -> Tensor:
    """By how much each image (N,) resists every perturbation of the ball; below 0 it falls."""
    weight, bias = model.weight.detach().double(), model.bias.detach().double()
    difference = weight[y][:, None] - weight  # (N, classes, D)
    margin = torch.einsum("nkd,nd->nk", difference, x.flatten(1).double()) + bias[y][:, None] - bias
    slack = margin - eps * difference.abs().sum(2)
    slack[torch.arange(len(y)), y] = torch.inf
    return slack.amin(1)


@pytest.mark.parametrize("seed", range(3))
def test_two_classes_reach_the_closed_form(seed: int) -> None:
    model, x, y, robust = problem(classes=2, seed=seed)
    assert 0.1 < robust.float().mean() < 0.9, "the problem decides nothing"
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=["fgsm", "pgd", "spsa"], spsa_steps=60)
    fgsm, pgd, spsa = result.attacks
    assert fgsm.robust == pgd.robust == int(robust.sum())
    assert 0 <= spsa.accuracy - robust.float().mean() <= 0.02


@pytest.mark.parametrize("seed", range(3))
def test_no_attack_goes_below_the_truth_on_four_classes(seed: int) -> None:
    model, x, y, robust = problem(classes=4, seed=seed)
    attacks = ["fgsm", "pgd(steps=20, restarts=3)", "spsa", "art:SquareAttack(max_iter=100)"]
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=attacks, spsa_steps=60)
    for attack in result.attacks:
        assert attack.robust >= int(robust.sum()), attack.name
    assert result.worst_case.robust >= int(robust.sum())
    pgd = result.attacks[1]
    assert pgd.accuracy - robust.float().mean() <= 0.05


def test_wrong_images_stay_in_the_total() -> None:
    model, x, y, _ = problem(classes=2, seed=0)
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=["pgd"])
    with torch.no_grad():
        assert result.clean.correct == int((model(x).argmax(1) == y).sum()) < len(x)
    assert result.attacks[0].total == result.clean.total == len(x)
    assert result.attacks[0].robust <= result.clean.correct
