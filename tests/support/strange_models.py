"""Small models as users bring them. Each has one thing that is strange."""

import collections
import functools
import io
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.support.models import mlp
from tests.support.strange import SHAPE, Around, images


class Net(nn.Module):
    """``mlp`` as a member."""

    def __init__(self) -> None:
        super().__init__()
        self.model = mlp(SHAPE)

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


def plain() -> nn.Module:
    return mlp(SHAPE)


def doubled() -> nn.Module:
    return Around(lambda x: 2 * x)


def negated() -> nn.Module:
    return Around(after=lambda z: -z)


def cut() -> nn.Module:
    return Around(lambda x: x.detach())


def convolution() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)).eval()
    model[1].running_mean.add_(0.1)
    return model


def saved(model: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    file = io.BytesIO()
    torch.jit.save(model, file)
    file.seek(0)
    return torch.jit.load(file)


def first_column(x: Tensor) -> Tensor:
    x[:, 0] = 2 * x[:, 0]
    return x


def through_a_view(x: Tensor) -> Tensor:
    x.view(len(x), -1).mul_(2)
    return x


def through_data(x: Tensor) -> Tensor:
    x.data.mul_(2)
    return x


def through_numpy(x: Tensor) -> Tensor:
    x.detach().numpy()[:] *= 2
    return x


def detached_without_gradient(x: Tensor) -> Tensor:
    return 2 * (x if x.requires_grad else x.detach_())


class Checkpointed(Net):
    def __init__(self, *, reentrant: bool, in_place: bool = False) -> None:
        super().__init__()
        self.reentrant, self.in_place = reentrant, in_place

    def forward(self, x: Tensor) -> Any:
        return checkpoint(self.model, x.mul_(2) if self.in_place else x, use_reentrant=self.reentrant)


class ScriptedCounter(nn.Module):
    calls: int

    def __init__(self) -> None:
        super().__init__()
        self.model, self.calls, self.seen = mlp(SHAPE), 0, torch.zeros(2)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen += 1
        return self.model(x) * (-1.0) ** self.calls


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(mlp(SHAPE).eval(), {nn.Linear}, dtype=torch.qint8)


def prepared() -> nn.Module:
    model = mlp(SHAPE).train()
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    quantisable = torch.ao.quantization.prepare_qat(model)
    quantisable(images())
    return quantisable.eval().apply(torch.ao.quantization.disable_observer)


def with_hook(hook: Callable[..., Any], kind: str = "register_forward_hook") -> nn.Module:
    model = mlp(SHAPE)
    getattr(model[1], kind)(hook)
    return model


def hooks_on_the_graph(_module: Any, _inputs: Any, output: Tensor) -> None:
    output.register_hook(lambda _: None)


def normed(norm: Callable[[nn.Module], Any]) -> nn.Module:
    torch.manual_seed(0)
    model = mlp(SHAPE)
    norm(model[1])
    return model


def parametrised(module: nn.Module) -> None:
    nn.utils.parametrize.register_parametrization(module, "weight", nn.Identity())


def lazy(*, called: bool) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(4))
    if called:
        model(torch.zeros(1, *SHAPE))
    return model


class Extra(Net):
    def get_extra_state(self) -> dict[str, str]:
        return {"not": "a tensor"}

    def set_extra_state(self, state: Any) -> None:
        self.state = state


class NoSingle(Net):
    def forward(self, x: Tensor) -> Any:
        if len(x) == 1:
            raise ValueError("one image is not enough")
        return self.model(x)


class Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = mlp(SHAPE).to(dtype), dtype

    def forward(self, x: Tensor) -> Any:
        return self.model(x.to(self.dtype)).float()


class HalfBehindFloat32(nn.Module):
    """Its first weights are float32 and unused; the others are float16."""

    def __init__(self) -> None:
        super().__init__()
        self.spare, self.model = nn.Parameter(torch.ones(1)), mlp(SHAPE).half()

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


class SparseWeights(nn.Module):
    """Its weights are a sparse tensor, made by ``sparse``."""

    def __init__(self, sparse: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(sparse(torch.randn(4, math.prod(SHAPE))))

    def forward(self, x: Tensor) -> Any:
        return (self.weight @ x.flatten(1).T).T


def masked(value: float) -> Callable[[Tensor], Tensor]:
    """A function that rules out the last class of some images by ``value``."""
    return lambda z: torch.where((torch.arange(4) == 3) & (z[:, :1] > 0), value, z)


def function(backward: Any = None, forward: Callable[[Tensor], Tensor] = lambda x: x * 1) -> Callable[..., Any]:
    """The ``apply`` of an autograd Function with this backward pass, or without any."""
    body = {"forward": staticmethod(lambda _ctx, x: forward(x))}
    if backward is not None:
        body["backward"] = staticmethod(lambda _ctx, gradient: backward(gradient))
    return type("Function", (torch.autograd.Function,), body).apply


def raising(_: Any) -> Any:
    raise ValueError("a backward of my own\nof two lines")


class Differentiates(Net):
    """Its forward pass holds a gradient, so its own gradient needs a second derivative."""

    def forward(self, x: Tensor) -> Any:
        with torch.enable_grad():
            point = x if x.requires_grad else x.clone().requires_grad_()
            slope = torch.autograd.grad(self.model(point).logsumexp(1).sum(), point, create_graph=True)[0]
        return self.model(x) - 0.01 * (slope**2).flatten(1).sum(1, keepdim=True)


class NoGrad(Net):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Any:
        return self.model(x)


class Inference(Net):
    @torch.inference_mode()
    def forward(self, x: Tensor) -> Any:
        return self.model(x)


def made_in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return mlp(SHAPE)


class Unregistered(nn.Module):
    """Holds a module and a tensor in containers, where torch does not see them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.models, self.tensors = [mlp(SHAPE, seed=seed)], {"scale": torch.ones(1)}

    def forward(self, x: Tensor) -> Any:
        return self.models[0](x) * self.tensors["scale"]


def deep() -> nn.Module:
    model = mlp(SHAPE)
    for _ in range(100):
        model = nn.Sequential(model)
    return model


class Recursive(Net):
    def forward(self, x: Tensor, left: int = 200) -> Any:
        return self.forward(x, left - 1) if left else self.model(x)


class Cached(Net):
    @functools.cached_property
    def scale(self) -> Tensor:
        return torch.ones(1)

    @property
    def trap(self) -> Any:
        raise RuntimeError("do not look")

    def forward(self, x: Tensor) -> Any:
        return self.model(x) * self.scale


class AnswersAnything(Net):
    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return lambda *_, **__: None


class IsItsCopy(Net):
    def __deepcopy__(self, memo: Any) -> "IsItsCopy":
        return self


class NoCopy(Net):
    def __init__(self) -> None:
        super().__init__()
        self.rest = (number for number in range(3))


class NoPickle(Net):
    def __reduce__(self) -> Any:
        raise RuntimeError("no")


class OwnMethods(Net):
    """Overrides torch's methods with other arguments and results."""

    def parameters(self, recurse: Any) -> Any:
        return 3

    def named_parameters(self, *_: Any, **__: Any) -> Any:
        return iter(())

    def buffers(self) -> Any:
        raise RuntimeError("no")

    def state_dict(self) -> Any:
        raise RuntimeError("no")

    def eval(self) -> Any:
        raise RuntimeError("no")

    def to(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no")


class OwnCall(Net):
    def __call__(self, x: Tensor) -> Any:
        return super().__call__(2 * x)


class Warns(Net):
    def forward(self, x: Tensor) -> Any:
        warnings.warn("careful", stacklevel=1)
        return self.model(x)


Record = collections.namedtuple("Record", "aux logits")


@dataclass
class Output:
    logits: Tensor
    loss: Any = None


def two_classes() -> nn.Module:
    return Around(after=lambda z: torch.stack((torch.zeros(len(z)), z[:, 0] - z[:, 1]), 1))


class OneBuffer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("answer", torch.empty(512, 4))

    def forward(self, x: Tensor) -> Any:
        self.answer[: len(x)] = self.model(x).detach()
        return self.answer[: len(x)]


class Fixed(Net):
    def forward(self, x: Tensor) -> Any:
        return self.model(x.reshape(8, *SHAPE))


class OneImage(Net):
    def forward(self, x: Tensor) -> Any:
        return self.model(x.reshape(1, *SHAPE))


class UpTo32(Net):
    def forward(self, x: Tensor) -> Any:
        assert len(x) <= 32, "my buffer has 32 rows"
        return self.model(x)


class Even(Net):
    def forward(self, x: Tensor) -> Any:
        assert len(x) % 2 == 0
        return self.model(x)


class Exits(Net):
    def forward(self, x: Tensor) -> Any:
        return sys.exit(3)


class ExitsLater(Net):
    def forward(self, x: Tensor) -> Any:
        return sys.exit(3) if len(x) == 12 else self.model(x)


class NoInit(nn.Module):
    def __init__(self) -> None:
        pass


class Endless(Net):
    def forward(self, x: Tensor) -> Any:
        return self.forward(x)


def without_values() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
