"""The rewritten graph of a model: less to compute, the same function, and no choice frozen into it."""

import copy
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from advtool.models.resnet11 import ResNet11
from advtool.target.rewriting import rewritten
from advtool.target.search_form import search_form

CPU = torch.device("cpu")


def settled(model: nn.Module) -> nn.Module:
    """In eval mode and frozen, with statistics and scales as after a training."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                values.uniform_(0.5, 2.0, generator=generator)
    return model.eval().requires_grad_(False)


def images(channels: int = 1, side: int = 12) -> Tensor:
    return torch.rand(6, channels, side, side, generator=torch.Generator().manual_seed(0))


def logits_and_gradient(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    leaf = x.clone().requires_grad_()
    logits = model(leaf)
    return logits.detach(), torch.autograd.grad(logits.square().sum(), leaf)[0]


def layers(model: nn.Module) -> list[type[nn.Module]]:
    return [type(module) for module in model.modules()]


class Pooled(nn.Module):
    """The functions in place of the layers, as tutorials write it, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.linear = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(100, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(max_pool2d(relu(self.norm(self.convolution(x))), 2).flatten(1))


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2, padding=1),
        nn.Conv2d(4, 3, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize(
    ("make", "channels"),
    [(lambda: ResNet11((3, 16, 16), 4), 3), (Pooled, 1), (sequential, 1)],
    ids=["resnet11", "pooled", "sequential"],
)
def test_logits_and_gradients_are_the_models(make: Callable[[], nn.Module], channels: int) -> None:
    torch.manual_seed(0)
    model, x = settled(make()), images(channels, 16 if channels == 3 else 12)
    form = search_form(model, x)
    assert isinstance(form.inner, torch.fx.GraphModule)
    torch.testing.assert_close(logits_and_gradient(form, x), logits_and_gradient(model, x), rtol=1e-4, atol=1e-5)


def test_norms_are_folded_away_and_the_models_own_left() -> None:
    model = settled(ResNet11((3, 16, 16), 4))
    before = layers(model), {name: value.clone() for name, value in model.state_dict().items()}
    form = search_form(model, images(3, 16))
    assert layers(model) == before[0]
    torch.testing.assert_close(model.state_dict(), before[1], rtol=0, atol=0)
    assert nn.BatchNorm2d not in layers(form)
    called = [form.inner.get_submodule(node.target) for node in form.inner.graph.nodes if node.op == "call_module"]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in called)


@pytest.mark.parametrize("make", [Pooled, sequential])
def test_a_relu_comes_after_its_pooling(make: Callable[[], nn.Module]) -> None:
    traced = rewritten(settled(make()), CPU)
    names = [str(node.target) for node in traced.graph.nodes if node.op.startswith("call")]
    pool = next(place for place, name in enumerate(names) if name == "2" or "boolean_dispatch" in name)
    assert names[pool + 1] == "1" or "relu" in names[pool + 1]


class SharedConvolution(nn.Module):
    """A norm behind one of two uses: folded into the layer, it would be in both."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return max_pool2d(relu(self.norm(self.convolution(self.convolution(x)))), 4).flatten(1)


class SeenBeforePooling(nn.Module):
    """What is rectified is needed a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        rectified = relu(self.convolution(x))
        return max_pool2d(rectified, 10).flatten(1) + rectified.mean((2, 3))


class Branched(nn.Module):
    """What the convolution gives is needed beside its norm, and what is rectified twice."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        before = self.convolution(x)
        return (self.norm(before) + before).mean((2, 3))


class Hooked(Pooled):
    """A hook makes another function of the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm.register_forward_hook(lambda *call: call[-1].sin())


@pytest.mark.parametrize("make", [SharedConvolution, Hooked])
def test_what_cannot_be_folded_stays(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = settled(make()), images()
    form = rewritten(copy.deepcopy(model), CPU)
    assert nn.BatchNorm2d in layers(form)
    torch.testing.assert_close(logits_and_gradient(form, x), logits_and_gradient(model, x))


@pytest.mark.parametrize("make", [SeenBeforePooling, Branched])
def test_what_is_needed_twice_is_not_rewritten(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match="nothing to rewrite"):
        rewritten(settled(make()), CPU)


class HookedContainer(nn.Module):
    """A hook that would see no tensor while the model is traced."""

    def __init__(self, seen: list[Tensor]) -> None:
        super().__init__()
        self.inner = Pooled()
        self.inner.register_forward_hook(lambda *call: seen.append(call[-1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


def test_hooks_of_containers_see_tensors_alone() -> None:
    seen: list[Tensor] = []
    search_form(settled(HookedContainer(seen)), images())
    assert seen
    assert all(type(each) is Tensor for each in seen)


class OneOfTwo(nn.Module):
    """Python draws which of two members answers; a trace would hold the one that it met."""

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


@pytest.mark.parametrize("make", [OneOfTwo, OneOfTwoByTorch, OneOfTwoByItsOwn])
def test_a_choice_drawn_in_python_is_drawn_at_every_call(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = settled(make()), images()
    with pytest.raises(ValueError, match="changes"):
        rewritten(copy.deepcopy(model), CPU)
    form = search_form(model, x)
    assert len({float(form(x).sum()) for _ in range(60)}) == 2


class TakingTurns(nn.Module):
    """The second call is another function than the first."""

    def __init__(self) -> None:
        super().__init__()
        self.members, self.calls = nn.ModuleList([Pooled(), Pooled()]), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.members[self.calls % 2](x)  # type: ignore[no-any-return]


def test_members_that_take_turns_go_on_to_do_so() -> None:
    torch.manual_seed(0)
    model, x = settled(TakingTurns()), images()
    form = search_form(model, x)
    assert len({float(form(x).sum()) for _ in range(4)}) == 2
