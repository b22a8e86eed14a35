"""SPSA's estimate against its definition, and the affine start that its points share."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from advtool import evaluate, seeding
from advtool.attacks.spsa import SPSA
from advtool.errors import InputError
from advtool.models.cnn import CNN
from advtool.models.lenet import LeNet
from advtool.models.noise import with_pnil
from advtool.models.resnet11 import ResNet11
from advtool.target.affine_start import AffineStart, affine_start
from advtool.target.handling import frozen
from advtool.target.scores import margin
from advtool.target.search_form import search_form
from advtool.target.target import Target
from advtool.threat import ThreatModel
from tests.support.models import NoisyInput, mlp

CPU = torch.device("cpu")
GRAY, COLOUR = (1, 16, 16), (3, 16, 16)


def images(shape: tuple[int, ...] = GRAY) -> Tensor:
    """Of 8 bits, with many pixels at the ends of the clip range."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(6, *shape, generator=generator).mul_(2).sub_(0.5).clamp_(0, 1).mul_(255).round_() / 255


class Normalised(nn.Module):
    """Constants before the first convolution, and one behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = CNN(GRAY, 4)
        self.register_buffer("mean", torch.tensor(0.3))
        self.register_buffer("deviation", torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner((x - self.mean) / self.deviation)
        return logits + self.mean


class FlatView(nn.Module):
    """A tail that bears no channels last."""

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


class Before(nn.Module):
    """Something before the first convolution; a method, since what cannot be pickled is not traced at all."""

    def __init__(self, first: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = CNN(GRAY, 4)
        self.__class__ = type("Before", (Before,), {"first": staticmethod(first)})

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


def with_start(model: nn.Module, x: Tensor, batch_size: int = 1024) -> Target:
    form = search_form(model, x)
    return Target(
        model,
        find_form=lambda: form,
        find_start=partial(affine_start, model, form, x),
        input_shape=tuple(x.shape[1:]),
        classes=4,
        batch_size=batch_size,
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "cnn": (lambda: CNN(GRAY, 4), GRAY),
    "lenet": (lambda: LeNet(GRAY, 4), GRAY),
    "resnet11": (lambda: ResNet11(COLOUR, 4), COLOUR),
    "normalised": (Normalised, GRAY),
    "flat view": (FlatView, GRAY),
}
OTHERS: dict[str, Callable[[], nn.Module]] = {
    "no convolution": lambda: mlp(GRAY, 4),
    "past the first": PastTheFirst,
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
        estimator = with_start(model, x, batch_size)
        assert estimator.start is not None
        nearby = estimator.logits_nearby(x, changes)
        expected = torch.stack([model(x + change) for change in changes])
    torch.testing.assert_close(nearby, expected, rtol=1e-4, atol=1e-5)
    assert estimator.calls.forward == len(x) * len(changes)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_affine_up_to_its_first_convolution_has_no_start(name: str) -> None:
    torch.manual_seed(0)
    with frozen(OTHERS[name]()) as model:
        assert affine_start(model, search_form(model, images()), images()) is None


def test_a_model_that_remembers_is_evaluated_and_keeps_tensors() -> None:
    with frozen(Remembering()) as model:
        evaluate(model, images(), torch.zeros(6, dtype=torch.long), eps=0.1, attacks="spsa(samples=8, steps=2)")
        assert type(model.seen) is Tensor


def test_a_start_of_the_search_form_is_of_its_precision() -> None:
    """Its head in float32, where the small changes show; the rest as the search form rounds."""
    model, x = CNN(GRAY, 4).eval().requires_grad_(False), images()
    start = affine_start(model, search_form(model, x, "bfloat16"), x)
    assert start is not None
    assert start.precision == "bfloat16"
    features = start.moved(x, torch.zeros(1, *GRAY))
    assert features.dtype == torch.float32
    torch.testing.assert_close(start.logits(features).float(), model(x), rtol=0.05, atol=0.05)
    assert start.logits(features).dtype == torch.bfloat16


def test_an_evaluation_uses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    moved = AffineStart.moved
    monkeypatch.setattr(AffineStart, "moved", lambda *call: asked.append(len(call[2])) or moved(*call))
    model, x = CNN(GRAY, 4).eval(), images()
    evaluate(model, x, model(x).argmax(1), eps=0.1, attacks="spsa(samples=8, steps=3)")
    assert asked.count(8) == 3  # a step's points at once; other sizes are of the trials before


@pytest.mark.parametrize("make", [lambda: NoisyInput(CNN(GRAY, 4), 0.1), lambda: CNN(GRAY, 4)], ids=["noisy", "plain"])
def test_looking_for_a_start_draws_nothing(make: Callable[[], nn.Module]) -> None:
    """A shard's numbers must not depend on whether it was the first to look."""
    with frozen(make()) as model:
        form = search_form(model, images())
        before = seeding.global_states(CPU)
        affine_start(model, form, images())
        assert seeding.global_states(CPU) == before


@pytest.mark.parametrize("make", [lambda: CNN(GRAY, 4), lambda: mlp(GRAY, 4)], ids=["with start", "without"])
def test_the_estimate_is_the_mean_over_antithetic_pairs(make: Callable[[], nn.Module]) -> None:
    """``mean_v v (f(x + delta v) - f(x - delta v)) / (2 delta)`` (Spall 1992), in a loop."""
    torch.manual_seed(0)
    x, y, delta, pairs = images(), torch.tensor([0, 1, 2, 3, 0, 1]), 0.02, 8
    with frozen(make()) as model:
        attack = SPSA(with_start(model, x), ThreatModel(eps=0.1), samples=2 * pairs, delta=delta)
        estimate = attack._estimate(x, y, torch.Generator().manual_seed(5))
        bits = torch.randint(0, 2, (pairs, *GRAY), generator=torch.Generator().manual_seed(5), dtype=torch.int8)
        centre, expected = x.clamp(delta, 1 - delta), torch.zeros_like(x)
        for v in 2.0 * bits - 1:
            difference = margin(model(centre + delta * v), y) - margin(model(centre - delta * v), y)
            expected += difference.view(-1, 1, 1, 1) * v / (2 * delta * pairs)
    torch.testing.assert_close(estimate, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


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
