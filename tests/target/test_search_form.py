"""The form in which attacks search a model: the same function, and never the one that decides."""

import copy
import pickle
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

import advtool
from advtool.compute.convolution import QuickConv2d
from advtool.data import Split, to_float
from advtool.models.lenet import LeNet
from advtool.models.noise import with_pnil
from advtool.models.resnet11 import ResNet11
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


def images(count: int = 6, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, *SHAPE[1:], generator=torch.Generator().manual_seed(0))


def settled(model: nn.Module) -> nn.Module:
    """In eval mode and frozen, with statistics and scales as after a training."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                values.uniform_(0.5, 2.0, generator=generator)
    return model.eval().requires_grad_(False)


def logits_and_gradient(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    logits = model(leaf)
    return logits.detach(), torch.autograd.grad(logits.square().sum(), leaf)[0]


class SharedConvolution(nn.Module):
    """Calls its convolution twice."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return max_pool2d(relu(self.norm(self.convolution(self.convolution(x)))), 4).flatten(1)


class Branched(nn.Module):
    """Needs what the convolution gives beside its norm, and what is rectified twice."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        before = self.convolution(x)
        rectified = relu(self.norm(before) + before)
        return max_pool2d(rectified, 10).flatten(1) + rectified.mean((2, 3))


class Pooled(nn.Module):
    """Functions instead of layers, as tutorials write it, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.linear = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(100, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(max_pool2d(relu(self.norm(self.convolution(x))), 2).flatten(1))


class Hooked(Pooled):
    """A hook makes another function of the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm.register_forward_hook(lambda *call: call[-1].sin())


class InPlace(nn.Module):
    """Overwrites what its convolution gave."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 4, 4, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(100, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


MODELS: list[Callable[[], nn.Module]] = [
    network,
    lambda: network(64),
    lambda: LeNet(SHAPE, 4),
    lambda: ResNet11((3, *SHAPE[1:]), 4),
    Pooled,
    SharedConvolution,
    Branched,
    Hooked,
    InPlace,
]


@pytest.mark.parametrize("make", MODELS)
def test_logits_and_gradients_are_the_models_and_the_model_is_left_alone(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = settled(make())
    x = images(channels=next(model.parameters()).shape[1])
    before = [type(module) for module in model.modules()], copy.deepcopy(model.state_dict())
    form = search_form(model, x)
    assert form is not model
    assert any(type(module) is QuickConv2d for module in form.modules())
    assert [type(module) for module in model.modules()] == before[0]
    torch.testing.assert_close(model.state_dict(), before[1], rtol=0, atol=0)
    torch.testing.assert_close(logits_and_gradient(form, x), logits_and_gradient(model, x), rtol=1e-4, atol=1e-5)


def test_two_threads_may_make_search_forms_at_once() -> None:
    models, x = [settled(make()) for make in (network, Pooled) * 4], images()
    with ThreadPoolExecutor(2) as pool:
        forms = list(pool.map(lambda model: search_form(model, x), models))
    for model, form in zip(models, forms, strict=True):
        assert form is not model
        torch.testing.assert_close(form(x), model(x), rtol=1e-4, atol=1e-5)


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


class CopiedInPart(nn.Module):
    """Its copy keeps the model's own convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x).mean((2, 3))

    def __deepcopy__(self, memo: object) -> nn.Module:
        return copy.copy(self)


@pytest.mark.parametrize("make", [Uncopiable, CopiedInPart])
def test_a_model_that_has_no_such_form_is_searched_as_it_is(make: Callable[[], nn.Module]) -> None:
    model = make().eval().requires_grad_(False)
    assert search_form(model, images()) is model
    assert not any(type(module) is QuickConv2d for module in model.modules())


def test_a_model_that_does_not_bear_one_layout_gets_another() -> None:
    torch.manual_seed(0)
    model, x = ContiguousOnly().eval().requires_grad_(False), images()
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


class OneOfTwo(nn.Module):
    """Python draws which of two members answers."""

    def __init__(self) -> None:
        super().__init__()
        self.members, self.own = nn.ModuleList([Pooled(), Pooled()]), random.Random(0)

    def forward(self, x: Tensor) -> Tensor:
        return self.members[int(self.choose())](x)  # type: ignore[no-any-return]

    def choose(self) -> bool:
        return random.random() < 0.2


class OneOfTwoByTorch(OneOfTwo):
    def choose(self) -> bool:
        return bool(torch.rand(()) < 0.2)


class OneOfTwoByItsOwn(OneOfTwo):
    def choose(self) -> bool:
        return self.own.random() < 0.2


class TakingTurns(nn.Module):
    """The second call is another function than the first."""

    def __init__(self) -> None:
        super().__init__()
        self.members, self.calls = nn.ModuleList([Pooled(), Pooled()]), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.members[self.calls % 2](x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", [OneOfTwo, OneOfTwoByTorch, OneOfTwoByItsOwn, TakingTurns])
def test_a_choice_is_made_anew_at_every_call(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = settled(make()), images()
    form = search_form(model, x)
    assert len({float(form(x).sum()) for _ in range(60)}) == 2


def global_states() -> bytes:
    """The states of the generators that a model on the CPU may draw from: equal as long as nothing is drawn."""
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().numpy()))


@pytest.mark.parametrize("make", [lambda: NoisyInput(network(), 0.3), network], ids=["noisy", "plain"])
def test_making_a_search_form_draws_nothing(make: Callable[[], nn.Module]) -> None:
    """A shard's numbers must not depend on whether it was the first to need the form."""
    model = settled(make())
    before = global_states()
    search_form(model, images(), "bfloat16")
    assert global_states() == before


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
