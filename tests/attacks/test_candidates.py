"""What a search returns: a fall that the model confirms stays, and one that it rejects gives way to the last point."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import advtool
from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import ATTACKS
from advtool.target.facts import Randomness
from advtool.target.scores import BARELY_FALLEN, judged_margin, predictions
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import Linear, NoisyInput

SHAPE = (1, 1, 1)
Y = torch.zeros(3, dtype=torch.long)


class Above(nn.Module):
    """One grey pixel is of class 1 above the border, of class 0 below."""

    def __init__(self, border: float) -> None:
        super().__init__()
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        lead = x.flatten(1) - self.border
        return torch.cat((-lead, lead), 1)


class Tent(nn.Module):
    """The search form of :class:`Above`: it takes a pixel of 0.6 for the best point, and those far from it for none."""

    def forward(self, x: Tensor) -> Tensor:
        lead = 0.05 - (x.flatten(1) - 0.6).abs()
        return torch.cat((-lead, lead), 1)


def target(border: float = 0.7, form: nn.Module | None = None) -> Target:
    find_form = None if form is None else lambda: form
    return Target(Above(border), find_form=find_form, input_shape=SHAPE, classes=2)


def pixels(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, *SHAPE)


class Rounded(nn.Module):
    """Class 1 ties with class 0 below 0.4, with class 2 above 0.6, and wins between."""

    def forward(self, x: Tensor) -> Tensor:
        pixel = x.flatten(1)
        return torch.cat(((pixel < 0.4).float(), torch.ones_like(pixel), (pixel > 0.6).float()), 1)


class Walk(TensorAttack):
    """Raises the pixel by 0.1 in each of five steps, judged by the search form."""

    name = "walk"
    guide = Guide.scores
    most_queries = 5

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        for step in range(1, 6):
            x_adv = self.threat_model.project(x + 0.1 * step, x)
            found.spend(1)
            found.meet(x_adv, self.target.search_logits(x_adv), step)


def test_where_the_model_rejects_a_candidate_the_last_point_is_returned() -> None:
    """The walk ends at 0.8, where the model is wrong; its search form likes 0.6 best, where the model is right."""
    x = pixels(0.3, 0.3, 0.1)
    found = Walk(target(form=Tent()), ThreatModel(eps=0.5)).search(x, Y, torch.Generator())
    torch.testing.assert_close(found.x.flatten(), torch.tensor([0.8, 0.8, 0.6]))
    assert found.step.tolist() == [5, 5, 5]
    assert found.queries.tolist() == [5 + 2, 5 + 2, 5 + 2], "the candidate is put to the model, then the last point"


def test_what_the_model_confirms_is_returned_and_not_the_last_point() -> None:
    found = Walk(target(border=0.55, form=Tent()), ThreatModel(eps=0.5)).search(pixels(0.3), Y[:1], torch.Generator())
    assert found.x.item() == pytest.approx(0.6)
    assert found.step.tolist() == [3]
    assert found.queries.tolist() == [6]


def test_no_image_that_the_last_point_breaks_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation, with the search form that misjudges: the verifier sees the last points."""
    monkeypatch.setitem(ATTACKS, "walk", Walk)
    monkeypatch.setattr(Target, "search_form", Tent())
    x = pixels(0.3, 0.32, 0.1, 0.0)
    (attack,) = advtool.evaluate(Above(0.7), x, torch.zeros(4).long(), eps=0.5, attacks="walk").attacks
    assert attack.robust == 2


@pytest.mark.parametrize("restarts", [1, 3])
def test_pgd_loses_no_image_to_a_search_form_that_misjudges(restarts: int) -> None:
    """The form is right about the slope, but above 0.58 it sees a fall that the model does not: the end counts."""

    class Early(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            lead = x.flatten(1) - 0.58
            lead = torch.where(x.flatten(1) > 0.62, 0.01 * lead, lead)
            return torch.cat((-lead, lead), 1)

    x, y = torch.full((20, *SHAPE), 0.5), torch.zeros(20).long()
    subject = target(border=0.69, form=Early())
    attack = PGD(subject, ThreatModel(eps=0.2), steps=21, restarts=restarts)
    found = attack.search(x, y, torch.Generator().manual_seed(0))
    assert (subject.scores(found.x).argmax(1) == 1).all()


def test_a_confirmed_candidate_survives_later_luckier_margins() -> None:
    """Of three images one has surely fallen: too few to drop half of them, so that it is met again and again."""
    torch.manual_seed(0)
    weight = 20 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    model = NoisyInput(Linear(weight, torch.zeros(2)), 0.1).requires_grad_(False)
    noisy = Target(model, input_shape=(1, 1, 2), classes=2, votes=20, randomness=Randomness.each_image)
    fallen, standing = torch.tensor([0.3, 0.7]).view(1, 1, 1, 2), torch.tensor([0.7, 0.3]).view(1, 1, 1, 2)
    found = Candidates(standing.repeat(3, 1, 1, 1), Y, noisy)
    found.meet(torch.cat((fallen, standing, standing)), torch.tensor([[-1.0, 1.0], [-1.0, 1.0], [1.0, 0.0]]), 1)
    assert found.drop_fallen(at_least=0.5) is None
    assert found.confirmed.tolist() == [True, False, False]
    found.meet(standing.repeat(3, 1, 1, 1), torch.tensor([[-9.0, 9.0], [1.0, 0.0], [1.0, 0.0]]), 2)
    found.update(standing.repeat(3, 1, 1, 1), torch.full((3,), -99.0), 3)
    assert torch.equal(found.x[0], fallen[0])
    assert found.step.tolist() == [1, 3, 3]
    queries = found.queries.tolist()
    assert found.drop_fallen(at_least=0.3) is not None
    assert found.queries[0] == queries[0], "nobody asks again about what is sure"


def test_of_a_model_without_randomness_too() -> None:
    found = Candidates(pixels(0.3, 0.3, 0.3), Y, target(border=0.5))
    found.update(pixels(0.6, 0.4, 0.4), torch.tensor([-1.0, -1.0, 1.0]), 1)
    assert found.drop_fallen(at_least=0.6) is None
    assert found.confirmed.tolist() == [True, False, False]
    found.update(pixels(0.2, 0.2, 0.2), torch.tensor([-9.0, 0.05, 1.0]), 2)
    assert found.x.flatten().tolist() == pytest.approx([0.6, 0.2, 0.4])


def test_a_tie_is_no_fall() -> None:
    """The model gives a pixel on the border class 0, so that a search that has come there goes on."""
    subject = target(border=0.5)
    assert subject.scores(pixels(0.5)).tolist() == [[0, 0]]
    found = Candidates(pixels(0.3), Y[:1], subject)
    found.update(pixels(0.5), torch.tensor([-0.1]), 1)
    assert found.drop_fallen() is None
    assert found.confirmed.tolist() == [False]


class Undefined(Above):
    """It answers NaN near 0.6, and below the border the true class."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where((x.flatten(1) - 0.6).abs() < 0.05, torch.nan, super().forward(x))


def test_a_point_without_an_answer_has_fallen_and_a_wrong_class_is_a_better_example() -> None:
    found = Candidates(pixels(0.5, 0.5, 0.5), Y, subject := Target(Undefined(0.7), input_shape=SHAPE, classes=2))
    for step, points in enumerate([pixels(0.6, 0.6, 0.3), pixels(0.5, 0.8, 0.4)]):
        found.meet(points, subject.scores(points), step)
    assert found.finish().x.flatten().tolist() == pytest.approx([0.6, 0.8, 0.4])
    assert found.confirmed.tolist() == [True, True, False]


def test_an_infinite_score_is_no_answer_and_a_class_that_is_ruled_out_no_matter() -> None:
    inf = float("inf")
    scores = torch.tensor([[inf, 0.0], [-inf, -inf], [1.0, -inf], [-inf, 1.0], [3.0, 1.0]])
    assert judged_margin(scores, torch.zeros(5).long()).tolist() == [BARELY_FALLEN, BARELY_FALLEN, inf, -inf, 2.0]


@given(st.lists(st.tuples(*[st.sampled_from([-torch.inf, -1.0, 0.0, 1.0, torch.inf, torch.nan])] * 3), min_size=1))
def test_a_judged_margin_is_below_zero_exactly_where_the_prediction_is_wrong(rows: list[tuple[float, ...]]) -> None:
    scores = torch.tensor(rows)
    for label in range(3):
        labels = torch.full((len(rows),), label)
        assert torch.equal(judged_margin(scores, labels) < 0, predictions(scores) != labels)


def test_a_tie_that_the_true_class_loses_is_a_better_example_than_one_that_it_wins() -> None:
    """Of rounded scores: the lower class wins. Met first is a tie with the class above, which the image survives."""
    subject = Target(Rounded(), input_shape=SHAPE, classes=3)
    found = Candidates(pixels(0.5), Y[:1] + 1, subject)
    for step, point in enumerate([pixels(0.7), pixels(0.3), pixels(0.6)]):
        found.meet(point, subject.scores(point), step)
    assert found.finish().x.flatten().tolist() == pytest.approx([0.3])
    assert found.confirmed.tolist() == [True]


def test_of_searches_side_by_side_a_confirmed_one_beats_a_luckier_one_beats_a_luckier_one() -> None:
    """Two searches of an image: the form likes the first better, but the model rejects it and its last point."""
    subject = target(border=0.7)
    found = Candidates(pixels(0.5), Y[:1], subject)
    for _, beside, _ in found.rounds(2, queries=1, steps=1):
        beside.update(pixels(0.6, 0.8), torch.tensor([-5.0, -1.0]), 1)
    assert found.finish().x.item() == pytest.approx(0.8)
    assert found.confirmed.tolist() == [True]
