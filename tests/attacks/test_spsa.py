"""SPSA's estimate against its definition, and the first convolution that its points share."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from advtool import evaluate
from advtool.attacks.spsa import SPSA, _Adam
from advtool.errors import InputError
from advtool.models.cnn import CNN
from advtool.models.lenet import LeNet
from advtool.models.noise import with_pnil
from advtool.models.resnet11 import ResNet11
from advtool.target.handling import frozen
from advtool.target.scores import margin
from advtool.target.search_form import SearchForm, search_form
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import NoisyInput, mlp

GRAY, COLOUR = (1, 16, 16), (3, 16, 16)


def images(shape: tuple[int, ...] = GRAY) -> Tensor:
    """Of 8 bits, with many pixels at the ends of the clip range."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, *shape, generator=generator).mul_(2).sub_(0.5).clamp_(0, 1).mul_(255).round_() / 255


class Normalised(nn.Module):
    """Its first convolution does not see the images themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = CNN(GRAY, 4)
        self.register_buffer("mean", torch.tensor(0.3))
        self.register_buffer("deviation", torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner((x - self.mean) / self.deviation)
        return logits + self.mean


class FlatView(nn.Module):
    """Does not bear channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = self.convolution(x)
        return features.view(features.size(0), -1)[:, :4]  # type: ignore[no-any-return]


class PastTheFirst(nn.Module):
    """The images are needed again behind the first convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 4, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu() + x).flatten(1)


class Branches(nn.Module):
    """Two convolutions see the images, one of them padded with the image."""

    def __init__(self, padding_mode: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, padding_mode=padding_mode)
        self.second = nn.Conv2d(1, 4, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return (self.first(x).relu() + self.second(x).sigmoid()).square().mean((2, 3))


class CalledTwice(nn.Module):
    """Its first convolution sees the images, and then what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(256, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convolution(self.convolution(x).relu()).flatten(1))


class Squaring(nn.Conv2d):
    """A convolution of a user's own, which is not affine."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.square())


class Functional(nn.Module):
    """The layer's weight is used without calling the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 16)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.convolution.weight, self.convolution.bias).flatten(1)


def hooked(kind: str, change: Callable[[Tensor], Tensor]) -> nn.Module:
    """A CNN with a hook that changes the input or the output of its first convolution."""
    model = CNN(GRAY, 4)
    if kind == "input":
        model.conv1.register_forward_pre_hook(lambda _, inputs: change(inputs[0]))
    else:
        model.conv1.register_forward_hook(lambda *call: change(call[-1]))
    return model


def patched() -> nn.Module:
    """A CNN whose first convolution has been given another ``forward``."""
    model = CNN(GRAY, 4)
    layer = model.conv1
    layer.forward = lambda x: nn.Conv2d.forward(layer, x.square())
    return model


class Before(nn.Module):
    """Computes something before the first convolution."""

    def __init__(self, first: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.first = CNN(GRAY, 4), first

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.first(x))  # type: ignore[no-any-return]


class Remembering(nn.Module):
    """Keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = CNN(GRAY, 4), torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return self.inner(x)  # type: ignore[no-any-return]


def with_form(model: nn.Module, x: Tensor, batch_size: int = 1024) -> Target:
    form = search_form(model, x)
    return Target(
        model,
        find_form=lambda: form,
        input_shape=tuple(x.shape[1:]),
        classes=4,
        batch_size=batch_size,
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "cnn": (lambda: CNN(GRAY, 4), GRAY),
    "lenet": (lambda: LeNet(GRAY, 4), GRAY),
    "resnet11": (lambda: ResNet11(COLOUR, 4), COLOUR),
    "flat view": (FlatView, GRAY),
    "past the first": (PastTheFirst, GRAY),
    "circular": (lambda: Branches("circular"), GRAY),
    "reflected": (lambda: Branches("reflect"), GRAY),
    "replicated": (lambda: Branches("replicate"), GRAY),
    "hooked output": (lambda: hooked("output", torch.tanh), GRAY),
}
"""The images reach the first convolution unchanged."""
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "no convolution": lambda: mlp(GRAY, 4),
    "normalised": Normalised,
    "called twice": CalledTwice,
    "own convolution": lambda: nn.Sequential(Squaring(1, 4, 16), nn.Flatten()),
    "functional": Functional,
    "hooked input": lambda: hooked("input", torch.square),
    "patched": patched,
    "rounded to 4 bits": lambda: Before(lambda x: (x * 15).round() / 15),
    "rounded to 8 bits": lambda: Before(lambda x: (x * 255).round() / 255),
    "clamped": lambda: Before(lambda x: x.clamp(0, 1)),
    "rectified": lambda: Before(torch.relu),
    "absolute": lambda: Before(torch.abs),
    "thresholded": lambda: Before(lambda x: (x > 0.5).float()),
    "levels": lambda: Before(lambda x: (255 * x).to(torch.uint8).float() / 255),
    "squared": lambda: Before(torch.square),
    "noisy": lambda: NoisyInput(CNN(GRAY, 4), 0.1),
    "pnil": lambda: with_pnil(CNN(GRAY, 4), GRAY),
}


@pytest.mark.parametrize("batch_size", [5, 1024])
@pytest.mark.parametrize("name", MODELS)
def test_logits_nearby_are_those_at_the_points(name: str, batch_size: int) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    x, changes = images(shape), 0.1 * images(shape)[:4] - 0.03
    with frozen(make()) as model:
        target = with_form(model, x, batch_size)
        assert target.search_form.shared is not None
        nearby = target.logits_nearby(x, changes)
        expected = torch.stack([model(x + change) for change in changes])
    torch.testing.assert_close(nearby, expected, rtol=1e-4, atol=1e-5)
    assert target.calls.forward == len(x) * len(changes)


@pytest.mark.parametrize(("name", "needed"), [("cnn", False), ("lenet", False), ("past the first", True)])
def test_the_points_are_made_only_for_a_model_that_reads_them(name: str, needed: bool) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    with frozen(make()) as model:
        form = search_form(model, images(shape))
    assert isinstance(form, SearchForm)
    assert form.shared is not None
    assert form.shared.needs_points == needed


def test_flat_areas_where_rounding_chooses_a_windows_largest_pixel_do_not_prevent_sharing() -> None:
    torch.manual_seed(0)
    x = images(GRAY)
    x[1:] = 0
    with frozen(LeNet(GRAY, 4)) as model:
        form = search_form(model, x)
    assert isinstance(form, SearchForm)
    assert form.shared is not None


@pytest.mark.parametrize("name", OTHERS)
def test_without_a_convolution_that_sees_the_images_nothing_is_shared(name: str) -> None:
    torch.manual_seed(0)
    x, changes = images(), 0.1 * images()[:4] - 0.03
    with frozen(OTHERS[name]()) as model:
        target = with_form(model, x)
        assert getattr(target.search_form, "shared", None) is None
        torch.manual_seed(1)
        nearby = target.logits_nearby(x, changes)
        torch.manual_seed(1)
        expected = model((x + changes[:, None]).flatten(0, 1)).view(nearby.shape)
    torch.testing.assert_close(nearby, expected, rtol=1e-4, atol=1e-5)


def test_a_model_that_remembers_is_evaluated_and_keeps_tensors() -> None:
    with frozen(Remembering()) as model:
        evaluate(model, images(), torch.zeros(6, dtype=torch.long), eps=0.1, attacks="spsa(samples=8, steps=2)")
        assert type(model.seen) is Tensor


def test_the_shared_convolution_is_computed_in_float32_and_the_rest_in_bfloat16() -> None:
    """Small changes show in the sums."""
    model, x = CNN(GRAY, 4).eval().requires_grad_(False), images()
    form = search_form(model, x, "bfloat16")
    seen: dict[str, torch.dtype] = {}
    for name in ("relu1", "conv2"):
        form.inner.get_submodule(name).register_forward_hook(
            lambda *call, name=name: seen.update({name: call[-1].dtype})
        )
    logits = form.nearby(x, torch.zeros(1, *GRAY))
    assert seen == {"relu1": torch.float32, "conv2": torch.bfloat16}
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(x), rtol=0.05, atol=0.05)


def test_an_evaluation_shares_the_first_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    nearby = SearchForm.nearby

    def counted(form: SearchForm, x: Tensor, changes: Tensor) -> Tensor:
        assert form.shared is not None
        asked.append(len(changes))
        return nearby(form, x, changes)

    monkeypatch.setattr(SearchForm, "nearby", counted)
    model, x = CNN(GRAY, 4).eval(), images()
    evaluate(model, x, model(x).argmax(1), eps=0.1, attacks="spsa(samples=8, steps=3)")
    assert asked.count(8) == 3  # a step's points at once; other sizes are of the trials before


@pytest.mark.parametrize("make", [lambda: CNN(GRAY, 4), lambda: mlp(GRAY, 4)], ids=["shared", "not shared"])
def test_the_estimate_is_the_mean_over_antithetic_pairs(make: Callable[[], nn.Module]) -> None:
    """``mean_v v (f(x + delta v) - f(x - delta v)) / (2 delta)`` (Spall 1992), in a loop."""
    torch.manual_seed(0)
    x, y, delta, pairs = images(), torch.tensor([0, 1, 2, 3, 0, 1]), 0.02, 8
    with frozen(make()) as model:
        attack = SPSA(with_form(model, x), ThreatModel(eps=0.1), samples=2 * pairs, delta=delta)
        estimate = attack._estimate(x, y, torch.Generator().manual_seed(5))
        bits = torch.randint(0, 2, (pairs, *GRAY), generator=torch.Generator().manual_seed(5), dtype=torch.int8)
        centre, expected = x.clamp(delta, 1 - delta), torch.zeros_like(x)
        for v in 2.0 * bits - 1:
            difference = margin(model(centre + delta * v), y) - margin(model(centre - delta * v), y)
            expected += difference.view(-1, 1, 1, 1) * v / (2 * delta * pairs)
    torch.testing.assert_close(estimate, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_an_image_that_stays_goes_on_with_its_own_moments() -> None:
    """Adam on four images of which two are dropped moves these two as if they had been alone."""
    x, slopes = torch.rand(4, *GRAY), torch.randn(3, 4, *GRAY)
    places = torch.tensor([1, 3])
    all_four, two = _Adam(x, 0.1), _Adam(x[places], 0.1)
    here, there = x, x[places]
    for slope in slopes[:2]:
        here, there = all_four.step(here, slope), two.step(there, slope[places])
    all_four.keep(places)
    torch.testing.assert_close(all_four.step(here[places], slopes[2][places]), two.step(there, slopes[2][places]))


class Watching(nn.Module):
    """Remembers the range of what it was asked; its course depends on values, so it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.least, self.most = CNN(GRAY, 4), 1.0, 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.least, self.most = min(self.least, float(x.min())), max(self.most, float(x.max()))
        return self.inner(x)  # type: ignore[no-any-return]


def test_no_point_lies_outside_the_clip_range() -> None:
    with frozen(Watching()) as model:
        estimator = Target(model, input_shape=GRAY, classes=4)
        SPSA(estimator, ThreatModel(eps=0.3), steps=3, samples=8, delta=0.2).generate(images())
    assert (model.least, model.most) == (0.0, 1.0)


def test_points_wider_apart_than_the_clip_range_are_refused() -> None:
    model = CNN(GRAY, 4).eval()
    with pytest.raises(InputError, match=r"delta=0\.6 must be at most 0\.5"):
        SPSA(Target(model, input_shape=GRAY, classes=4), ThreatModel(eps=0.1), delta=0.6)
