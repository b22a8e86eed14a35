"""``advtool.certify``: known answers, and what it refuses."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import advtool
from advtool.certification import certifier
from advtool.certification.branching import Goal, Open, refine
from advtool.certification.certifier import Certifier
from advtool.certification.linear_bounds import LinearBounds, down
from advtool.compute.layers import Box, read
from advtool.errors import InputError
from advtool.target.target import Target
from advtool.threat import ThreatModel

EPS = 0.1


def linear(weight: Tensor) -> nn.Module:
    """Logits (0, w . x)."""
    layer = nn.Linear(weight.numel(), 2, bias=False)
    layer.weight.data = torch.stack((torch.zeros_like(weight), weight))
    return nn.Sequential(nn.Flatten(), layer)


def test_a_linear_model_has_the_margin_at_the_worst_corner() -> None:
    weight, x = torch.tensor([1.0, -2.0, 0.5, 1.0]), torch.full((1, 1, 2, 2), 0.5)
    found = advtool.certify(linear(weight), x, [1], eps=EPS, seconds=0)
    worst = 0.5 * weight.sum() - EPS * weight.abs().sum()
    assert found.lower.item() == pytest.approx(worst.item(), abs=1e-4)
    assert found.lower.item() <= worst.item()
    assert found.certified.tolist() == [worst.item() > 0]


def test_no_search_form_is_made_for_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("made")

    monkeypatch.setattr("advtool.target.making.search_form", refuse)
    x = torch.full((1, 1, 2, 2), 0.9)
    assert advtool.certify(linear(torch.ones(4)), x, [1], eps=EPS, seconds=0).certified.all()


def test_the_clip_range_cuts_the_ball() -> None:
    x = torch.tensor([0.02, 1.0, 0.5, 0.5]).view(1, 1, 2, 2)
    weight = torch.tensor([1.0, 1.0, 1.0, 1.0])
    found = advtool.certify(linear(weight), x, [1], eps=EPS, seconds=0)
    assert found.lower.item() == pytest.approx(0.0 + 0.9 + 0.4 + 0.4, abs=1e-4)


def test_a_misclassified_image_is_never_certified() -> None:
    x = torch.full((1, 1, 2, 2), 0.5)
    found = advtool.certify(linear(torch.ones(4)), x, [0], eps=1e-6)
    assert not found.certified.any()
    assert found.lower.item() < 0


def test_a_tie_is_no_proof() -> None:
    found = advtool.certify(linear(torch.zeros(4)), torch.rand(3, 1, 2, 2), [0, 1, 0], eps=EPS)
    assert found.certified.tolist() == [False] * 3


@pytest.mark.parametrize(("share", "refused"), [(1.9e-3, False), (2.1e-3, True)])
def test_layers_that_give_other_logits_than_the_model_prove_nothing(
    monkeypatch: pytest.MonkeyPatch, share: float, refused: bool
) -> None:
    """Logits (0, z) and (0, (1 + s) z) differ by s / 2 of the largest in what separates the classes."""
    model, x = linear(torch.ones(4)), torch.full((1, 1, 2, 2), 0.9)
    other = read(linear((1 + share) * torch.ones(4)).eval(), x)
    monkeypatch.setattr(certifier, "read", lambda *_: other)
    if refused:
        with pytest.raises(InputError, match="other logits than the model"):
            advtool.certify(model, x, [1], eps=EPS)
    else:
        assert advtool.certify(model, x, [1], eps=EPS).certified.all()


def test_a_part_is_proved_by_a_margin_beyond_rounding_alone() -> None:
    class Parts:
        def at(self, rows: Tensor) -> "Parts":
            return self

    lower = torch.tensor([-1.0, 0.5e-6, 2e-6, torch.nan], dtype=torch.float64)
    parts: Any = Parts()
    left = Open(parts, torch.arange(4), lower).undecided(Goal(torch.eye(2), enough=1e-6, until=0.0))
    assert left.targets.tolist() == [0, 1, 3]


def equal_halves(extra: float) -> nn.Module:
    """Logits (0, extra + ReLU(d) - ReLU(d)) with d = x_0 - x_1: linear bounds do not see that the two are equal."""
    first, second = nn.Linear(4, 2), nn.Linear(2, 2)
    first.weight.data = torch.tensor([[1.0, -1.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.0]])
    first.bias.data = torch.zeros(2)
    second.weight.data = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    second.bias.data = torch.tensor([0.0, extra])
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second)


def test_branching_proves_what_linear_bounds_do_not() -> None:
    x = torch.full((1, 1, 2, 2), 0.5)
    lines, cut = (advtool.certify(equal_halves(0.05), x, [1], eps=0.14, seconds=seconds) for seconds in (0, 5))
    # On [-u, u] the chord is (d + u) / 2, and a line below of slope a leaves a d - (d + u) / 2 >= -u / 2 at best.
    assert lines.lower.item() <= 0.05 - 0.28 / 2
    assert not lines.certified.any()
    assert cut.certified.all()
    assert lines.method == "CROWN"
    assert "branching" in cut.method


def test_branching_does_not_prove_what_is_false() -> None:
    x = torch.full((1, 1, 2, 2), 0.5)
    found = advtool.certify(equal_halves(-0.001), x, [1], eps=0.14, seconds=1)
    assert not found.certified.any()
    assert found.lower.item() <= -0.001


def test_a_part_with_nothing_left_to_cut_does_not_cost_the_other_margins() -> None:
    """Of label 1: the margin to class 0 needs two cuts, the one to class 2 is false, and its parts end after three."""
    first, second = nn.Linear(4, 5), nn.Linear(5, 3)
    first.weight.data = torch.tensor(
        [[1.0, -1.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    )
    first.bias.data = torch.tensor([0.0, 0.0, -0.5, -0.5, -1.0])
    second.weight.data = torch.tensor([[0.0] * 5, [1.0, -1.0, 0.0, 0.0, 0.0], [1.0, -1.0, 1.0, 1.0, 1.0]])
    second.bias.data = torch.tensor([0.0, 0.05, 0.049])
    model, x = (
        nn.Sequential(nn.Flatten(), first, nn.ReLU(), second).requires_grad_(False),
        torch.full((1, 1, 2, 2), 0.5),
    )
    bounds = LinearBounds(read(model, x), Box(*ThreatModel(eps=0.14).box(x)), 2**20)
    rows = torch.tensor([[-1.0, 1.0, 0.0], [0.0, 1.0, -1.0]])
    unknown = torch.full((2,), -math.inf, dtype=torch.float64)
    to_0, to_2 = refine(bounds, 0, rows, unknown, enough=0.0, seconds=60).tolist()
    assert to_0 > 0
    assert to_2 == pytest.approx(0.001 - 4 * 0.14, abs=1e-3)


@given(value=st.floats(-(2.0**40), 2.0**40))
def test_rounding_to_float32_goes_down(value: float) -> None:
    rounded = down(torch.tensor([value], dtype=torch.float64))
    assert rounded.dtype is torch.float32
    assert rounded.double().item() <= value
    assert rounded.double().item() >= value - 2.0**-22 * abs(value) - 1e-40


def tiny(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.LeakyReLU(0.1), nn.Linear(8, 3))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), eps=st.floats(0.02, 0.3))
def test_bounds_by_cuts_lie_below_a_fine_grid_and_above_lines(seed: int, eps: float) -> None:
    model, x = tiny(seed), torch.rand(1, 1, 1, 2, generator=torch.Generator().manual_seed(seed))
    y = model(x).argmax(1)
    low, high = ThreatModel(eps=eps).box(x)
    axes = [torch.linspace(float(a), float(b), 80) for a, b in zip(low.flatten(), high.flatten(), strict=True)]
    grid = torch.cartesian_prod(*axes).view(-1, 1, 1, 2)
    scores = model(grid).detach().double()
    margins = scores[:, y] - scores
    others = [j for j in range(3) if j != int(y)]
    bounds = LinearBounds(read(model.requires_grad_(False), x), Box(low, high), 2**20)
    rows = torch.eye(3)[y] - torch.eye(3)[others]
    with torch.no_grad():
        lines = torch.full((2,), -math.inf, dtype=torch.float64)
        cut = refine(bounds, 0, rows, lines, enough=0.0, seconds=0.5)
    truth = margins[:, others].amin(0)
    assert bool((cut <= truth.clamp(min=1e-6)).all())  # once a margin is proved, no better bound is looked for
    found = advtool.certify(model, x, y, eps=eps, seconds=0)
    assert found.lower.item() <= truth.min().item() + 1e-6
    assert found.lower.item() <= cut.min().item() + 1e-6 or cut.min() > 0


def test_the_answer_does_not_depend_on_the_other_images() -> None:
    model, x = tiny(3), torch.rand(7, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    together = advtool.certify(model, x, y, eps=0.05, seconds=0)
    alone = [advtool.certify(model, x[i : i + 1], y[i : i + 1], eps=0.05, seconds=0) for i in range(7)]
    assert together.certified.tolist() == [bool(each.certified) for each in alone]
    assert together.lower.numpy() == pytest.approx([each.lower.item() for each in alone], abs=1e-6)


def test_the_model_is_left_as_it_was() -> None:
    model = tiny(1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    advtool.certify(model, torch.rand(2, 1, 1, 2), [0, 1], eps=0.1, seconds=0.2)
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_precision_settings_of_the_process_are_put_back() -> None:
    backends: Any = torch.backends
    owners = [backends, backends.cudnn, backends.mkldnn, backends.cudnn.conv, backends.mkldnn.conv]
    before = [owner.fp32_precision for owner in owners]
    advtool.certify(linear(torch.ones(4)), torch.rand(1, 1, 2, 2), [1], eps=0.01, seconds=0)
    assert [owner.fp32_precision for owner in owners] == before


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2] + 0.1 * torch.randn(len(x), 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"eps": 0.0}, "eps=0.0 is no number in"),
        ({"eps": 2}, "eps=2 is no number in"),
        ({"norm": "l1"}, "norm='l1'"),
        ({"seconds": -1}, "seconds=-1 must be a number of seconds"),
        ({"model": Noisy()}, "the model has no bounds: the model is random"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.GELU())}, "layer '2' (aten.gelu) cannot be bounded"),
    ],
)
def test_refusals_are_one_line(arguments: dict[str, object], words: str) -> None:
    given_ = {"model": linear(torch.ones(4)), "eps": 0.1, **arguments}
    with pytest.raises(advtool.InputError) as error:
        advtool.certify(given_.pop("model"), torch.rand(2, 1, 2, 2), [0, 1], **given_)  # type: ignore[arg-type]
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_values_that_may_overflow_in_float32_prove_nothing() -> None:
    weight = torch.full((4,), 1e36)
    found = advtool.certify(linear(weight), torch.full((1, 1, 2, 2), 0.9), [1], eps=0.01)
    assert not found.certified.any()
    assert found.lower.isneginf().all()


def test_the_cost_grows_with_the_unsure_entries() -> None:
    model, x = tiny(5), torch.rand(4, 1, 1, 2, generator=torch.Generator().manual_seed(1))
    certifier = Certifier(Target(model.requires_grad_(False).eval(), input_shape=(1, 1, 2), classes=3), x)
    costs: Callable[[float], float] = lambda eps: certifier.passes(x, ThreatModel(eps=eps))  # noqa: E731
    assert costs(1e-5) < costs(0.05) < costs(0.9)


def chain(scale: float) -> nn.Module:
    """Logits (0.5, 10 ReLU(x - 0.5)), with factors on the way whose products underflow in float32."""
    layers = [nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 2)]
    for layer, weight in zip(layers, (scale, 1 / scale, 1e-22), strict=False):
        layer.weight.data = torch.tensor([[weight]])
        layer.bias.data = torch.zeros(1)
    layers[2].bias.data = torch.tensor([-0.5e-22])
    layers[3].weight.data, layers[3].bias.data = torch.tensor([[0.0], [10 / 1e-22]]), torch.tensor([0.5, 0.0])
    return nn.Sequential(nn.Flatten(), *layers[:3], nn.ReLU(), layers[3])


@pytest.mark.parametrize("scale", [1.0, 1e22, 1e24, 1e29])
def test_coefficients_that_underflow_prove_nothing_false(scale: float) -> None:
    model, x = chain(scale), torch.full((1, 1, 1, 1), 0.4)
    assert model(x + 0.199).argmax() == 1  # an adversarial example
    for seconds in (0, 0.3):
        assert not advtool.certify(model, x, [0], eps=0.2, seconds=seconds).certified.any()


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(1, 2)
        self.last.weight.data, self.last.bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([-0.5, 0.5])

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(x.mean((2, 3)))
        return logits


def test_sums_of_millions_of_terms_prove_nothing() -> None:
    x = torch.full((1, 1, 2048, 2048), 0.6)
    assert not advtool.certify(Mean(), x, [0], eps=0.11, seconds=0).certified.any()


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(advtool.InputError, match=r"labels go up to 5, but the model has 2 classes"):
        advtool.certify(linear(torch.ones(4)), torch.rand(1, 1, 2, 2), [5], eps=0.1)


class Out(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, 1.0, out=torch.zeros(x.shape)).flatten(1)[:, :2]


class ByBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        logits = x.flatten(1)[:, :2]
        return -logits if len(x) == 1 else logits


@pytest.mark.parametrize("model", [Out(), ByBatch()])
def test_what_cannot_be_read_has_no_bounds(model: nn.Module) -> None:
    with pytest.raises(advtool.InputError):
        advtool.certify(model, torch.rand(3, 1, 2, 2), [0, 1, 0], eps=0.1)


def test_a_relu_on_the_images_themselves() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    x = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    assert advtool.certify(model, x, y, eps=1e-4, seconds=1).certified.all()
