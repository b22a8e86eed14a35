"""The search that doubles: which images each round sees, when it ends, and what only a later round finds."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import advtool
from advtool.attacks import doubling
from advtool.attacks.apgd import APGD
from advtool.attacks.candidates import Candidates, Found
from advtool.attacks.doubling import FEW_IMAGES, LITTLE, Doubling
from advtool.errors import InputError
from advtool.evaluation.settings import Settings
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.linear import EPS, problem
from tests.support.models import mlp
from tests.support.runs import labelled

STEPS = 5
ROUND = Doubling._round


class Threshold(nn.Module):
    """Class 1 where the first pixel is above a half. The margin of an image says how far it is."""

    def forward(self, x: Tensor) -> Tensor:
        above = x[:, 0, 0, 0] - 0.5
        return torch.stack((-above, above, -1 - above.abs()), 1)


class Needle(nn.Module):
    """Class 1 in a small square of two pixels alone. Outside of it nothing tells where it is."""

    def forward(self, x: Tensor) -> Tensor:
        far = (x.flatten(1) - torch.tensor([0.35, 0.62])).abs().amax(1)
        return torch.stack((torch.zeros_like(far) + 0.01, (0.05 - far).relu(), -torch.ones_like(far)), 1)


def attack(model: nn.Module, shape: tuple[int, int, int], eps: float, **parameters: Any) -> Doubling:
    target = Target(model.eval(), input_shape=shape, classes=3)
    return Doubling(target, ThreatModel(eps=eps), steps=STEPS, **parameters)


def search(attack: Doubling, x: Tensor, seed: int = 0) -> Found:
    return attack.search(x, torch.zeros(len(x), dtype=torch.long), torch.Generator().manual_seed(seed))


class Script:
    """Stands in for APGD: of the images that a round works on, the first few fall, as many as the script says."""

    def __init__(self, falls: list[int]) -> None:
        self.falls = falls
        self.number = -1
        """of the round"""
        self.images: list[list[float]] = []
        """for each round the second pixel of its images, which names them"""

    def round(self, doubling: Doubling, number: int, *rest: Any) -> None:
        self.number = number
        ROUND(doubling, number, *rest)

    def climb(self, apgd: APGD, x: Tensor, y: Tensor, goal: Tensor, loss: Any, found: Candidates, *rest: Any) -> None:
        number = self.number
        names = x[:, 0, 0, 1]
        if number == len(self.images):
            self.images.append(sorted(set(names.tolist())))
        falling = self.images[number][: self.falls[number] if number < len(self.falls) else 0]
        fallen = torch.isin(names, torch.tensor(falling))
        points = x.clone()
        points[:, 0, 0, 0] = torch.where(fallen, 0.6, x[:, 0, 0, 0])
        found.spend(apgd.steps)
        found.meet(points, apgd.target.scores(points), 0)


def rounds(falls: list[int], count: int, spare: float | None = None) -> tuple[list[int], Found]:
    """How many images each round saw; the nearer to the threshold, the higher their number."""
    script = Script(falls)
    x = torch.zeros(count, 1, 1, 2)
    x[:, 0, 0, 1] = torch.arange(count) / 1000
    x[:, 0, 0, 0] = 0.1 + 0.3 * torch.arange(count) / count
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(APGD, "climb", lambda *given: script.climb(*given))  # noqa: PLW0108 - a method would not bind
        patched.setattr(Doubling, "_round", lambda *given: script.round(*given))  # noqa: PLW0108
        found = search(attack(Threshold(), (1, 1, 2), 0.5, spare=spare), x)
    for images in script.images:
        assert images == sorted(images)
    nearest = [round(1000 * place) for place in script.images[1]]
    standing = count - min(falls[0] if falls else 0, count)
    assert nearest == list(range(count - len(nearest), count)), f"the nearest of {standing}"
    return [len(images) for images in script.images], found


@pytest.mark.parametrize(
    ("falls", "count", "seen"),
    [
        ([0, 0], 200, [200, 100]),  # the second round takes nothing
        ([9, 0], 200, [200, 96]),  # what the first takes does not count: the second always runs
        ([0, 1, 0], 200, [200, 100, 50]),
        ([0, 1, 2, 0], 200, [200, 100, 50, 25]),
        ([0, 0], 6, [6, 4, 4, 4, 4]),  # few images: another round costs little
        ([0, 0], 1, [1] * 7),
    ],
)
def test_it_doubles_until_a_round_takes_nothing(falls: list[int], count: int, seen: list[int]) -> None:
    assert rounds(falls, count, spare=1e6)[0] == seen


@given(falls=st.lists(st.integers(0, 5), min_size=2, max_size=8), count=st.integers(40, 300), spare=st.integers(1, 900))
@settings(max_examples=40)
def test_it_ends_for_a_reason(falls: list[int], count: int, spare: int) -> None:
    """Nothing stands, or the last round took nothing and the next is dear, or the next is beyond the budget."""
    seen, found = rounds(falls, count, spare)
    cost = [2**number * images for number, images in enumerate(seen)]
    assert sum(cost[2:]) <= spare
    fallen = [min(falls[number], seen[number]) if number < len(falls) else 0 for number in range(len(seen))]
    standing = count - sum(fallen)
    following = 2 ** len(seen) * min(standing, max(FEW_IMAGES, -(-standing // 2 ** len(seen))))
    dear = fallen[-1] == 0 and following > LITTLE
    assert dear or sum(cost[2:]) + following > spare
    assert int(found.late.sum()) == fallen[-1]
    assert all(before > 0 or at <= LITTLE for before, at in zip(fallen[1:], cost[2:], strict=False))


def test_only_a_later_round_finds_a_needle_and_the_budget_decides() -> None:
    x = torch.full((1, 1, 1, 2), 0.5)
    short, long = (search(attack(Needle(), (1, 1, 2), 0.3, spare=spare), x, seed=1) for spare in (0.1, 1000))
    with torch.no_grad():
        assert Needle()(short.x).argmax(1).tolist() == [0]
        assert Needle()(long.x).argmax(1).tolist() == [1]
    assert int(short.queries) == 1 + (1 + 2) * 2 * (STEPS + 1)
    assert not long.late.any(), "no image is left that could fall"


@pytest.mark.parametrize("seed", range(3))
def test_it_breaks_every_image_that_can_be_broken(seed: int) -> None:
    """A linear model, whose truth is known."""
    model, x, y, robust = problem(classes=10, seed=seed)
    found = advtool.evaluate(model, x, y, eps=EPS, attacks="doubling").attacks[0]
    assert int(robust.sum()) <= found.robust <= int(robust.sum()) + 1


def test_each_start_climbs_its_own_loss_towards_its_own_class() -> None:
    logits = torch.randn(10, 5, generator=torch.Generator().manual_seed(0))
    goal = torch.stack((torch.arange(10) % 5, (torch.arange(10) + 1) % 5, torch.arange(10) % len(doubling.LOSSES)), 1)
    expected = [
        doubling.LOSSES[kind](z[None], torch.tensor([[y, t]]))
        for z, (y, t, kind) in zip(logits, goal.tolist(), strict=True)
    ]
    assert torch.equal(doubling._climbed(logits, goal), torch.cat(expected))


def test_starts_go_through_all_targets_on_one_loss_after_the_other_and_later_rounds_go_on() -> None:
    """Of one image that stands: start n is towards target n modulo 2, on loss n // 2 modulo 5."""
    starts: list[list[int]] = []

    def climb(apgd: APGD, x: Tensor, y: Tensor, goal: Tensor, loss: Any, found: Candidates, *rest: Any) -> None:
        starts.extend(goal[:, 1:].tolist())
        found.meet(x, apgd.target.scores(x), 0)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(APGD, "climb", climb)
        search(attack(Threshold(), (1, 1, 2), 0.5, spare=1000), torch.full((1, 1, 1, 2), 0.1))
    rounds = 7  # the last one has 64 units
    assert starts == [[1 + n % 2, n // 2 % 5] for n in range(2 * (2**rounds - 1))]


def test_the_budget_is_a_multiple_of_what_the_attacks_cost_and_belongs_to_the_question(tmp_path: Any) -> None:
    model = mlp()
    x, y = labelled(model, 20)

    def spare(budget: float, **more: Any) -> float:
        asked: dict[str, Any] = {
            "eps": 0.04,
            "attacks": ["pgd(steps=9)", "doubling(steps=3)"],
            "budget": budget,
            **more,
        }
        attacks = advtool.evaluate(model, x, y, planted=False, **asked).attacks
        return float(attacks[1].parameters["spare"])

    first_rounds, unit = 2 * 3 * 3, 3 * 3  # three targets, three steps
    assert spare(3) == pytest.approx(2 * 20 * (9 + first_rounds) / unit)
    assert spare(1) < 1e-3
    assert spare(Settings.budget, attacks=["pgd", "doubling(spare=7, steps=3)"]) == 7, "who says it in brackets decides"
    spare(2, run_dir=tmp_path)
    with pytest.raises(InputError, match=r"budget: there 2\.0, here 3"):
        spare(3, run_dir=tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"budget": 0.5, "attacks": "doubling"}, "budget=0.5 must be a number from 1"),
        ({"budget": float("nan"), "attacks": "doubling"}, "budget=nan must be a number from 1"),
        ({"budget": 3.0, "attacks": "pgd"}, "^budget=3 is for the search that doubles"),
        ({"budget": 3.0, "attacks": "doubling(spare=1)"}, "unless that has a spare of its own"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(given: dict[str, Any], words: str) -> None:
    model = mlp()
    x, y = labelled(model, 4)
    with pytest.raises(InputError, match=words):
        advtool.evaluate(model, x, y, eps=0.04, **given)


def test_a_search_that_had_to_end_is_not_converged() -> None:
    """One step is too few: each doubling takes more images."""
    model = mlp().eval()
    x, y = labelled(model, 60)
    asked: dict[str, Any] = {"eps": 0.05, "attacks": "doubling(steps=1)", "planted": False}
    codes = {
        budget: [warning.code for warning in advtool.evaluate(model, x, y, budget=budget, **asked).warnings]
        for budget in (1, 1000)
    }
    assert codes == {1: ["not-converged"], 1000: []}


def test_an_image_that_another_attack_takes_too_is_not_taken_late() -> None:
    model = mlp().eval()
    x, y = labelled(model, 60)

    def taken(*attacks: str) -> int:
        result = advtool.evaluate(model, x, y, eps=0.05, attacks=attacks, planted=False, budget=1)
        return sum(warning.taken for warning in result.warnings if warning.code == "not-converged")

    assert taken("doubling(steps=1)") > taken("doubling(steps=1)", "pgd")
