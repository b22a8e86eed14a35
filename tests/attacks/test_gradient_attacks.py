"""The variants of PGD: what each is proof against, on models whose robust accuracy is known in closed form."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.attacks.base import no_report
from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_smooth import SmoothPGD
from advtool.attacks.pgd_straight import StraightThroughPGD
from advtool.attacks.spelling import parse
from advtool.errors import InputError
from advtool.target.scores import margin, negative_margin
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.linear import EPS, SHAPE, problem
from tests.support.models import LEVELS, Linear, Rounded, Scaled


def test_large_logits_stop_cross_entropy_alone() -> None:
    model, x, y, robust = problem(classes=2, seed=0, count=200)
    attacks = ["pgd", "apgd", "pgd-margin", "pgd-temperature", "apgd(loss='dlr')", "apgd-targeted(steps=30)"]
    result = advtool.evaluate(Scaled(model).eval(), x, y, eps=EPS, attacks=attacks)
    left = {attack.name: attack.robust for attack in result.attacks}
    truth = int(robust.sum())
    assert [left[name] for name in attacks[2:]] == [truth] * 4
    assert min(left["pgd"], left["apgd"]) > truth + 50


@pytest.mark.parametrize("seed", range(2))
def test_large_logits_of_four_classes(seed: int) -> None:
    """With more than one other class a margin may lead to the wrong one; trying each does not."""
    model, x, y, robust = problem(classes=4, seed=seed, count=200)
    attacks = ["pgd-margin", "pgd-temperature", "apgd(loss='dlr')", "apgd-targeted(steps=30)"]
    result = advtool.evaluate(Scaled(model).eval(), x, y, eps=EPS, attacks=attacks)
    truth = int(robust.sum())
    assert result.attacks[3].robust == truth
    for attack in result.attacks:
        assert truth <= attack.robust <= truth + 0.06 * len(x), attack.name  # up to 6 of 200, of three seeds


def robust_behind_rounding(model: Linear, x: Tensor, y: Tensor) -> Tensor:
    """Of two classes: each pixel goes to the worse end of the levels within its reach."""
    weight = (model.weight[y] - model.weight[1 - y]).detach()
    bias = (model.bias[y] - model.bias[1 - y]).detach()
    low, high = (((x + move) * LEVELS).round().flatten(1) / LEVELS for move in (-EPS, EPS))
    return torch.minimum(weight * low, weight * high).sum(1) + bias > 0


def test_rounding_stops_the_gradient_alone() -> None:
    model, x, y, _ = problem(classes=2, seed=0, count=200)
    truth = int(robust_behind_rounding(model, x, y).sum())
    result = advtool.evaluate(
        Rounded(model).eval(), x, y, eps=EPS, attacks=["pgd", "pgd-straight", "square(queries=600)"]
    )
    pgd, straight, square = (attack.robust for attack in result.attacks)
    assert abs(straight - truth) <= 1
    assert truth - 1 <= square <= truth + 0.02 * len(x)
    assert pgd > truth + 50


def test_pgd_stays_where_it_started_behind_rounding() -> None:
    model, x, y, _ = problem(classes=2, seed=0, count=50)
    target = Target(Rounded(model).requires_grad_(False), input_shape=SHAPE, classes=2)
    found = PGD(target, ThreatModel(eps=EPS), steps=5).search(x, y, torch.Generator().manual_seed(0), no_report)
    assert (found.step == 0).all()


def test_the_margin_loss_is_the_margin_and_temperature_keeps_the_softmax_off_its_ends() -> None:
    logits = torch.tensor([[3000.0, -1000.0, 0.0], [1.0, 4.0, 2.0], [0.2, 0.1, 0.0]], requires_grad=True)
    y = torch.tensor([0, 0, 0])
    assert negative_margin(logits, y).tolist() == pytest.approx([-3000.0, 3.0, -0.1])
    loss = tempered_cross_entropy(logits, y)
    expected = torch.stack([-(logits[i] / t).log_softmax(0)[0] for i, t in enumerate((3000.0, 3.0, 1.0))])
    torch.testing.assert_close(loss, expected)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    scaled = slope * margin(logits, y).abs().clamp_min(1)[:, None]
    assert (scaled.abs().amax(1) > 0.1).all(), "vanishes"
    torch.testing.assert_close(slope.sum(1), torch.zeros(3), atol=1e-6, rtol=0)  # the temperature is held constant


class Sine(nn.Module):
    """One logit is the sum of ``sin(k x)`` over the pixels."""

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        wave = torch.sin(self.k * x).flatten(1).sum(1)
        return torch.stack((wave, torch.zeros_like(wave)), 1)


@pytest.mark.parametrize(("k", "deviation"), [(5.0, 0.05), (20.0, 0.05), (20.0, 0.1)])
def test_the_smoothed_gradient_of_a_sine_is_damped_as_it_should_be(k: float, deviation: float) -> None:
    """The mean of ``k cos(k (x + s n))`` over a normal n is ``k cos(k x) exp(-k^2 s^2 / 2)``."""

    class OfTheFirstLogit(SmoothPGD):
        loss = staticmethod(lambda logits, _: logits[:, 0])

    copies, samples = 2000, 20
    target = Target(Sine(k), input_shape=(1, 2, 4), classes=2, batch_size=copies)
    image = torch.linspace(0.1, 0.9, 8).view(1, 1, 2, 4)
    x, y = image.expand(copies, -1, -1, -1), torch.zeros(copies, dtype=torch.long)
    attack = OfTheFirstLogit(target, ThreatModel(eps=0.3), samples=samples, deviation=deviation)
    scores, slope = attack.slope(x, y, torch.Generator().manual_seed(0))
    expected = k * torch.cos(k * image) * math.exp(-((k * deviation) ** 2) / 2)
    torch.testing.assert_close(slope.mean(0, keepdim=True) / samples, expected, atol=0.02 * k, rtol=0)
    torch.testing.assert_close(scores, target.logits(x))


def test_a_smoothed_gradient_sees_past_ripples() -> None:
    """A steep ripple on a gentle slope: its gradient leads nowhere, its mean over 0.05 down the slope."""

    class Rippled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pixel = x.flatten(1).mean(1)
            height = pixel - 0.5 + 0.02 * torch.sin(300 * x).flatten(1).mean(1)
            return torch.stack((20 * height, torch.zeros_like(height)), 1)

    x = torch.full((40, 1, 4, 4), 0.6) + 0.01 * torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(40, dtype=torch.long)
    attacks = ["pgd(steps=20)", "pgd-smooth(deviation=0.05, steps=20)"]
    plain, smooth = advtool.evaluate(Rippled().eval(), x, y, eps=0.2, attacks=attacks).attacks
    assert smooth.robust == 0
    assert plain.robust > 20


SPELLINGS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "torch.round": (torch.round, torch.round),
    "round to decimals": (lambda t: torch.round(t, decimals=1), lambda t: torch.round(t, decimals=1)),
    "method": (lambda t: t.round(), torch.round),
    "in place": (lambda t: t.round_(), torch.round),
    "in place on a part": (lambda t: t[:, :2].floor_(), lambda t: t[:, :2].floor()),
    "torch in place": (lambda t: torch.clamp_(t, 0, 1), lambda t: t.clamp(0, 1)),
    "named": (lambda t: torch.clamp(input=t, min=0.2, max=0.8), lambda t: t.clamp(0.2, 0.8)),
    "one end": (lambda t: t.clamp_min(0.5), lambda t: t.clamp(0.5)),
    "clip": (lambda t: t.clip(0, 1), lambda t: t.clamp(0, 1)),
    "ends for each pixel": (lambda t: t.clamp(torch.zeros(4), torch.ones(4)), lambda t: t.clamp(0, 1)),
    "floor": (torch.floor, torch.floor),
    "ceil": (lambda t: t.ceil(), torch.ceil),
    "trunc": (lambda t: t.trunc_(), torch.trunc),
    "module": (nn.Hardtanh(), lambda t: t.clamp(-1, 1)),
    "module in place": (nn.Hardtanh(inplace=True), lambda t: t.clamp(-1, 1)),
    "relu6": (nn.ReLU6(), lambda t: t.clamp(0, 6)),
    "functional": (nn.functional.hardtanh, lambda t: t.clamp(-1, 1)),
    "functional in place": (nn.functional.hardtanh_, lambda t: t.clamp(-1, 1)),
}


class Asked(StraightThroughPGD):
    """Whose slope is that of the sum of the logits."""

    loss = staticmethod(lambda logits, _: logits.sum(1))


def slope_through(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    class Of(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(3 * x.flatten(1))

    target = Target(Of(), input_shape=(1, 2, 2), classes=4)
    return Asked(target, ThreatModel(eps=0.1)).slope(x, torch.zeros(len(x), dtype=torch.long), torch.Generator())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_rounding_and_clamping_keep_their_values_and_pass_the_gradient(spelling: str) -> None:
    function, plain = SPELLINGS[spelling]
    x = torch.tensor([[-2.7, -0.3, 0.1, 0.4], [0.7, 33.37, 1e-9, 1e7]]).view(2, 1, 2, 2)
    values, slope = slope_through(function, x)
    expected = plain(3 * x.flatten(1))
    assert torch.equal(values, expected)
    reached = torch.zeros(2, 4)
    reached[:, : expected.shape[1]] = 3
    assert torch.equal(slope.flatten(1), reached)


def test_other_functions_are_left_alone() -> None:
    x = torch.tensor([[-2.0, -0.3, 0.1, 0.4]]).view(1, 1, 2, 2)
    for function in (torch.relu, torch.sigmoid, lambda t: t.square(), torch.sign, nn.functional.hardsigmoid):
        point = (3 * x.flatten(1)).requires_grad_()
        (expected,) = torch.autograd.grad(function(point).sum(), point)
        values, slope = slope_through(function, x)
        torch.testing.assert_close(slope.flatten(1), 3 * expected)
        torch.testing.assert_close(values, function(point).detach())


def test_an_infinite_value_is_clamped_as_ever() -> None:
    values, slope = slope_through(
        lambda t: (t / 0).clamp(-5, 5), torch.tensor([[-2.0, 3.0, 1.0, -1.0]]).view(1, 1, 2, 2)
    )
    assert values.tolist() == [[-5, 5, 5, -5]]
    assert slope.isfinite().all()


def test_after_the_attack_rounding_is_rounding_again() -> None:
    slope_through(torch.round, torch.rand(1, 1, 2, 2))
    point = torch.tensor([0.3], requires_grad=True)
    assert torch.autograd.grad(torch.round(point), point)[0] == 0


def test_from_itself_an_attack_transfers_as_well_as_pgd() -> None:
    """On two linear classes PGD is exact, and so is what is tried every fifth step."""
    model, x, y, robust = problem(classes=2, seed=1)
    result = advtool.evaluate(model, x, y, eps=EPS, attacks=["pgd", "transfer"], surrogate=model)
    assert [attack.robust for attack in result.attacks] == [int(robust.sum())] * 2


def test_transfer_needs_no_gradient_of_the_model_and_a_surrogate_that_is_like_it() -> None:
    model, x, y, _ = problem(classes=2, seed=1)
    stranger, *_ = problem(classes=2, seed=5)
    behind = Rounded(model).eval()
    own = advtool.evaluate(behind, x, y, eps=EPS, attacks=["transfer"], surrogate=model).attacks[0]
    other = advtool.evaluate(behind, x, y, eps=EPS, attacks=["transfer"], surrogate=stranger).attacks[0]
    assert abs(own.robust - int(robust_behind_rounding(model, x, y).sum())) <= 0.02 * len(x)
    assert other.robust > own.robust + 50
    assert own.model_calls.backward == 0


def test_transfer_without_a_surrogate_is_refused_but_left_out_of_the_audit() -> None:
    model, x, y, _ = problem(classes=2, seed=1, count=5)
    with pytest.raises(InputError, match="--surrogate"):
        advtool.evaluate(model, x, y, eps=EPS, attacks=["transfer"])
    names = [spec.name for spec in parse(["audit"])]
    assert "transfer" not in names
    assert "transfer" in [spec.name for spec in parse(["audit"], surrogate=True)]


def test_a_surrogate_of_other_images_is_refused() -> None:
    model, x, y, _ = problem(classes=2, seed=1, count=5)
    narrow = Linear(torch.randn(2, 16), torch.zeros(2))
    with pytest.raises(InputError, match="does not take images"):
        advtool.evaluate(model, x, y, eps=EPS, attacks=["transfer"], surrogate=narrow)
