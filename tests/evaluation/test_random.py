"""What is told of a random model beside its votes: a single draw, and noise that the attacker knows."""

import math

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool import seeding
from advtool.attacks.apgd import APGD
from advtool.attacks.base import TensorAttack
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_smooth import SmoothPGD
from advtool.attacks.registry import draws_in_a_cascade
from advtool.attacks.square import Square
from advtool.attacks.suites import SUITES, Scope
from advtool.evaluation.known_noise import FIELDS
from advtool.report import FORMATS
from advtool.results import Evaluation
from advtool.target.facts import Randomness
from advtool.target.known_noise import with_known_noise
from advtool.target.target import Target
from tests.support.models import Linear, NoisyInput, mlp
from tests.support.runs import SHAPE, images, labelled

NOISE, EPS, VOTES = 0.1, 0.1, 400
LEADS = torch.cat((torch.linspace(-0.3, -0.01, 8), torch.linspace(0.01, 0.6, 32)))
"""How much brighter the first of two pixels is. An attack takes 2 eps of it."""


def brighter(*, once_a_call: bool = False) -> nn.Module:
    """Tells which of two pixels is brighter, behind noise."""
    return NoisyInput(
        Linear(20 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), torch.zeros(2)), NOISE, once_a_call=once_a_call
    ).requires_grad_(False)


def pairs() -> Tensor:
    return torch.stack((0.5 + LEADS / 2, 0.5 - LEADS / 2), 1).view(-1, 1, 1, 2)


def audit(monkeypatch: pytest.MonkeyPatch, model: nn.Module, x: Tensor, y: Tensor, **changes: object) -> Evaluation:
    monkeypatch.setitem(SUITES, "audit", {"pgd": Scope.every, "apgd": Scope.survivors})
    settings = {"eps": EPS, "attacks": "audit", "planted": False, "certify": False, "pgd_steps": 10} | changes
    return advtool.evaluate(model, x, y, **settings)  # type: ignore[arg-type]


def test_a_single_draw_is_right_as_often_as_its_noise_leaves_the_lead() -> None:
    """At lead L a draw is right with probability Phi(L / (sqrt(2) NOISE)); the attack leaves L - 2 eps of each.

    Images that the votes have wrong without an attack are asked as they are.
    """
    y = torch.zeros(len(LEADS), dtype=torch.long)
    result = advtool.evaluate(brighter(), pairs(), y, eps=EPS, attacks="pgd", pgd_steps=10, votes=VOTES)
    left = torch.where(LEADS < 0, LEADS, LEADS - 2 * EPS)
    expected = torch.special.ndtr(left.double() / (math.sqrt(2) * NOISE)).mean().item()
    single = result.single_draw
    assert single is not None
    assert (single.draws, single.total) == (VOTES, len(LEADS))
    assert single.accuracy == pytest.approx(expected, abs=0.02)  # the standard error is below 0.003
    assert single.interval[0] < single.accuracy < single.interval[1]
    assert abs(single.accuracy - result.worst_case.accuracy) > 0.03, "the votes say something else here"


class Unsure(nn.Module):
    """The same, but without an answer where the second pixel with its noise is above a threshold."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.inner, self.threshold = NoisyInput(nn.Identity(), NOISE), threshold

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.inner(x).flatten(1).unbind(1)
        lead = 20 * (first - second)
        return torch.stack((lead, torch.where(second > self.threshold, torch.nan, -lead)), 1)


def test_a_point_without_an_answer_is_the_lowest_and_the_draws_that_answer_count_there() -> None:
    """An attack raises the second pixel from 0.1 to 0.35: there one draw of 20 gives none, and so the votes give none.

    One draw of 60 has the wrong class there. Where the images are, every draw is right.
    """
    x, y = torch.tensor([0.9, 0.1]).repeat(40, 1).view(-1, 1, 1, 2), torch.zeros(40, dtype=torch.long)
    result = advtool.evaluate(Unsure(0.52), x, y, eps=0.25, attacks="fgsm", eot=5, votes=50)
    assert result.clean.correct >= 38
    assert result.worst_case.robust < 10
    first, second = (level + NOISE * torch.randn(100_000, generator=torch.Generator()) for level in (0.65, 0.35))
    expected = ((second <= 0.52) & (first > second)).double().mean().item()
    assert result.single_draw is not None
    assert result.single_draw.accuracy == pytest.approx(expected, abs=0.03)  # the standard error is 0.006


def test_votes_give_bad_luck_one_chance_however_many_attacks_there_are() -> None:
    """At so small an eps no attack changes anything, so every stage says what the clean one says."""
    y = torch.zeros(len(LEADS), dtype=torch.long)
    attacks = [f"noise(samples={count})" for count in range(1, 11)]
    result = advtool.evaluate(brighter(), pairs(), y, eps=1e-6, attacks=attacks, votes=5, eot=1)
    assert 0 < result.clean.correct < len(LEADS)
    assert {attack.robust for attack in result.attacks} == {result.clean.correct}
    assert result.worst_case.robust == result.clean.correct


@pytest.mark.parametrize("once_a_call", [False, True])
def test_known_noise_is_beaten_exactly_where_it_leaves_no_lead(
    monkeypatch: pytest.MonkeyPatch, *, once_a_call: bool
) -> None:
    """The noise of each field is drawn here again: an image holds if its lead in it is above 2 eps."""
    x, y = pairs(), torch.zeros(len(LEADS), dtype=torch.long)
    result = audit(monkeypatch, brighter(once_a_call=once_a_call), x, y, seed=3)
    held = []
    for field in range(FIELDS):
        with seeding.global_streams(torch.device("cpu"), 3, "known noise", field, 0):
            first, second = (x + NOISE * torch.randn_like(x[:1] if once_a_call else x)).flatten(1).unbind(1)
        held.append(int((first - second > 2 * EPS).sum()))
    known = result.known_noise
    assert known is not None
    assert known.robust == held
    assert known.accuracy == pytest.approx(sum(held) / (FIELDS * len(x)))
    assert (known.fields, known.total, known.attack) == (FIELDS, len(x), "pgd(steps=10)")


def test_known_noise_is_the_same_at_every_call_and_takes_nothing_from_the_global_generator() -> None:
    model = NoisyInput(mlp(), NOISE).requires_grad_(False)
    random = Target(model, input_shape=SHAPE, classes=4, eot=20, votes=20, randomness=Randomness.each_image)
    x, y = images(30), torch.zeros(30, dtype=torch.long)
    one, other = with_known_noise(random, 0, "a"), with_known_noise(random, 0, "b")
    before = torch.random.get_rng_state()
    assert torch.equal(one.scores(x), one.scores(x))
    assert torch.equal(one.scores(x), one.scores_and_gradient(x, y)[0])
    assert not torch.equal(one.scores(x), other.scores(x))
    assert torch.equal(before, torch.random.get_rng_state())
    assert not one.randomised


def test_only_a_random_model_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = labelled(mlp(), 20)
    plain = audit(monkeypatch, mlp(), x, y)
    assert not plain.to_dict().keys() & {"single_draw", "known_noise"}
    noisy = audit(monkeypatch, NoisyInput(mlp(), NOISE), x, y)
    assert plain.to_dict().keys() | {"single_draw", "known_noise"} == noisy.to_dict().keys()
    alone = advtool.evaluate(NoisyInput(mlp(), NOISE), x, y, eps=EPS, attacks="pgd", pgd_steps=3)
    assert alone.single_draw is not None
    assert alone.known_noise is None, "it costs time, and nobody asked for an audit"
    text = FORMATS["table"](noisy)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert [row for row in ("worst case", "single draw", "known noise") if row in text] == [
        "worst case",
        "single draw",
        "known noise",
    ]


def test_a_run_goes_on_with_what_it_knows_of_the_noise(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    x, y = labelled(mlp(), 20)
    model = NoisyInput(mlp(), NOISE)
    first = audit(monkeypatch, model, x, y, run_dir=tmp_path)
    again = audit(monkeypatch, model, x, y, run_dir=tmp_path)
    assert (again.single_draw, again.known_noise) == (first.single_draw, first.known_noise)


@pytest.mark.parametrize(
    ("attack", "draws", "expected"),
    [
        (APGD, 20, 4),
        (APGD, 100, 20),
        (APGD, 3, 3),
        (PGD, 20, 20),
        (Square, 20, 2),
        (Square, 1, 1),
        (SmoothPGD, 20, 1),
        (SmoothPGD, 100, 5),
    ],
)
def test_a_cascade_takes_a_part_of_the_draws(attack: type[TensorAttack], draws: int, expected: int) -> None:
    assert draws_in_a_cascade(attack, draws) == expected


def test_only_a_cascade_takes_fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = labelled(mlp(), 12)
    model = NoisyInput(mlp(), NOISE)
    cascade = audit(monkeypatch, model, x, y)
    assert {attack.name: attack.parameters["eot"] for attack in cascade.attacks} == {
        "pgd": 20,
        "apgd": APGD.fewest_draws,
    }
    alone = advtool.evaluate(model, x, y, eps=EPS, attacks="apgd(steps=3)")
    assert alone.attacks[0].parameters["eot"] == 20
