"""The form in which attacks search a model: the same function, and never the one that decides."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import advtool
from advtool.compute.convolution import QuickConv2d
from advtool.data import Split, to_float
from advtool.models.noise import with_pnil
from advtool.target.search_form import search_form
from tests.support.models import NoisyInput, mlp

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
SHAPE = (1, 12, 12)


def network(width: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    return (
        nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(width * 9, 4),
        )
        .eval()
        .requires_grad_(False)
    )


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [8, 64])
def test_logits_and_gradients_are_the_models_and_the_model_is_left_alone(width: int) -> None:
    model, x = network(width), images()
    form = search_form(model, x)
    assert form is not model
    assert any(type(module) is QuickConv2d for module in form.modules())
    assert not any(type(module) is QuickConv2d for module in model.modules())
    answers = []
    for each in (form, model):
        leaf = x.clone().requires_grad_()
        logits = each(leaf)
        answers.append((logits, torch.autograd.grad(logits.square().sum(), leaf)[0]))
    torch.testing.assert_close(answers[0], answers[1])


class Uncopiable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :4]

    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("no")


class ContiguousOnly(nn.Module):
    """``view`` refuses an image whose channels lie last."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x).view(len(x), -1)[:, :4]


class Remembering(nn.Module):
    """Needs its ReLU's input again, which a ReLU in place would have overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.relu = nn.Conv2d(1, 4, 3), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        before = self.convolution(x) - 0.2
        return (self.relu(before) + before * before).mean((2, 3))


def test_a_model_that_has_no_such_form_is_searched_as_it_is() -> None:
    model = Uncopiable().eval().requires_grad_(False)
    assert search_form(model, images()) is model


@pytest.mark.parametrize("make", [ContiguousOnly, Remembering])
def test_a_model_that_does_not_bear_one_arrangement_gets_another(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = make().eval().requires_grad_(False), images()
    form = search_form(model, x)
    assert form is not model
    assert any(type(module) is QuickConv2d for module in form.modules())
    torch.testing.assert_close(form(x), model(x))


@pytest.mark.parametrize("make", [lambda: NoisyInput(network(), 0.3), lambda: with_pnil(network(), SHAPE)])
def test_a_random_model_draws_the_same_noise(make: Callable[[], nn.Module]) -> None:
    model, x = make().eval().requires_grad_(False), images()
    form = search_form(model, x)
    assert form is not model
    torch.manual_seed(3)
    given = form(x)
    torch.manual_seed(3)
    torch.testing.assert_close(given, model(x))


def test_bfloat16_rounds_and_returns_what_autocast_does() -> None:
    model, x = network(), images()
    logits = search_form(model, x, "bfloat16")(x)
    assert not torch.equal(logits.float(), model(x))
    torch.testing.assert_close(logits.float(), model(x), rtol=0.05, atol=0.05)


class WrongInAnotherMode(nn.Module):
    """Another function where its convolution has been replaced: no faster form of it is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        swapped = type(self.convolution) is not nn.Conv2d
        return self.convolution(x).mean((2, 3)) * (1.01 if swapped else 1.0)


def test_a_form_that_computes_something_else_is_not_taken() -> None:
    model = WrongInAnotherMode().eval().requires_grad_(False)
    assert search_form(model, images()) is model


@pytest.mark.parametrize("scale", [1e3, 1e38])
def test_logits_too_large_for_bfloat16_are_searched_in_float32(scale: float) -> None:
    """It rounds a logit of a thousand by up to 4, more than any step of a search moves it."""
    model, x = network(), images()
    model[-1].weight.mul_(scale)
    model[-1].bias.mul_(scale)
    form = search_form(model, x, "bfloat16")
    assert form is not model
    assert form.precision == "float32"
    assert form(x).dtype == torch.float32


def test_what_is_verified_is_verified_in_float32_whatever_the_caller_has_set() -> None:
    model, x = mlp(SHAPE), images(20)
    y = model(x).argmax(1)
    seen = set()
    model[-1].register_forward_hook(lambda _layer, _input, output: seen.add(output.dtype))
    expected = advtool.evaluate(model, x, y, eps=0.1, attacks="pgd(steps=5)")
    with torch.autocast("cpu", torch.bfloat16):
        given = advtool.evaluate(model, x, y, eps=0.1, attacks="pgd(steps=5)")
    assert seen == {torch.float32}
    assert (given.clean, given.worst_case) == (expected.clean, expected.worst_case)


def test_what_only_the_search_form_misclassifies_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that is always wrong breaks no image: the model itself decides."""
    model = mlp(SHAPE)
    wrong = copy.deepcopy(model)
    wrong[-1].weight.data.neg_()
    monkeypatch.setattr("advtool.target.making.search_form", lambda *_: wrong)
    x = images(20)
    y = model(x).argmax(1)
    result = advtool.evaluate(model, x, y, eps=1e-4, attacks=["pgd", "apgd", "square(queries=20)", "spsa(steps=3)"])
    assert result.worst_case.robust == 20


def test_a_search_in_bfloat16_finds_what_one_in_float32_finds(mnist: Split) -> None:
    """Within a point of a robust model's 490 images; on one machine and three seeds they differed by one at most."""
    model = advtool.load_checkpoint(CHECKPOINTS / "mnist-cnn-nfgsm.safetensors")
    x, y = to_float(mnist.images), mnist.labels
    left = {
        precision: advtool.evaluate(model, x, y, eps=0.1, attacks="pgd(steps=20)", precision=precision)
        for precision in ("float32", "bfloat16")
    }
    robust = {precision: result.worst_case.robust for precision, result in left.items()}
    assert {result.environment["search_precision"] for result in left.values()} == set(left)
    assert 400 < robust["float32"] < 460
    assert abs(robust["bfloat16"] - robust["float32"]) <= 5
