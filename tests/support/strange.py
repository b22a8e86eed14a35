"""What tests of strange models share: images, labels, a short evaluation, and all that a model holds."""

import collections
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

import advtool
from tests.support.models import mlp
from tests.support.runs import SHAPE, without_times

EPS = 0.05
ATTACKS = ("fgsm", "pgd", "square(queries=30)")


def images(count: int = 12, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


class Around(nn.Module):
    """``mlp`` between two functions."""

    def __init__(
        self, before: Callable[[Tensor], Any] = lambda x: x, after: Callable[[Tensor], Any] = lambda z: z
    ) -> None:
        super().__init__()
        self.model, self.before, self.after = mlp(SHAPE), before, after

    def forward(self, x: Tensor) -> Any:
        return self.after(self.model(self.before(x)))


def labels(model: nn.Module, x: Tensor, classes: int = 4) -> Tensor:
    """The predictions of a plain model as labels; the label of every sixth image is wrong."""
    with torch.no_grad():
        y = model(x).argmax(1)
    y[::6] = (y[::6] + 1) % classes
    return y


def evaluate(model: Any, x: Tensor, y: Tensor, **options: Any) -> advtool.Evaluation:
    """A short evaluation; ``options`` come before its settings."""
    asked = {"eps": EPS, "attacks": ATTACKS, "pgd_steps": 5} | options
    return advtool.evaluate(model, x, y, **asked)


def numbers(result: advtool.Evaluation) -> dict[str, int]:
    """The number of images that are right, clean and under each attack."""
    return {"clean": result.clean.correct, **{attack.name: attack.robust for attack in result.attacks}}


def codes(result: advtool.Evaluation) -> set[str]:
    """The codes of the warnings."""
    return {finding.code for finding in result.warnings}


def document(result: advtool.Evaluation) -> Any:
    """The result as a JSON document without times."""
    return without_times(result.to_dict())


def forget(folder: Path) -> None:
    """Leave in a run folder what a kill leaves: some shards, no inspection, no result."""
    for name in ("inspection.json", "result.json", "images.jsonl"):
        (folder / name).unlink()
    for path in [*(folder / "shards").glob("2-*"), *(folder / "shards").glob("3-*")]:
        path.unlink()


def held_by(model: nn.Module) -> dict[str, Any]:
    """Everything that a model holds, by name, in a form that can be compared."""
    return dict(_held_by(model))


def _held_by(model: nn.Module) -> Iterator[tuple[str, Any]]:
    script = torch.jit.ScriptModule
    for name, module in nn.Module.named_modules(model):
        yield f"{name}: training", getattr(module, "training", None)
        for key, parameter in nn.Module.named_parameters(module, recurse=False):
            about = (parameter.requires_grad, parameter.grad is None, parameter.device, parameter.dtype)
            yield f"{name}.{key}", (*about, _seen(parameter))
        for key, buffer in nn.Module.named_buffers(module, recurse=False):
            yield f"{name}.{key}", _seen(buffer)
        if not isinstance(module, script):
            for key, value in object.__getattribute__(module, "__dict__").items():
                if key not in ("_modules", "_parameters", "_buffers", "training"):
                    yield f"{name}.{key}", _seen(value)
            slots = [slot for kind in type(module).__mro__ for slot in kind.__dict__.get("__slots__", ())]
            for key in slots:
                yield f"{name}.{key}", _seen(getattr(module, key, None))


def _seen(value: Any, depth: int = 5) -> Any:
    state = _state(value)
    if state is not None:
        return state
    if isinstance(value, dict) and depth:
        return [(key, _seen(item, depth - 1)) for key, item in value.items()]
    if isinstance(value, list | tuple | collections.deque) and depth:
        return [_seen(item, depth - 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, int | float | complex | str | bytes | bool | type(None)):
        return value
    if hasattr(value, "__dict__") and not isinstance(value, type | nn.Module) and not callable(value) and depth:
        return id(value), _seen(vars(value), depth - 1)
    return id(value)


def _state(value: Any) -> Any:
    """The content and identity of a tensor, an array or a generator; None for other objects."""
    if isinstance(value, Tensor):
        empty = is_lazy(value) or value.is_meta
        if empty:
            return id(value)
        plain = value.dequantize() if value.is_quantized else value.detach().to_dense()
        return id(value), value.requires_grad, repr((value.dtype, plain.double().tolist()))
    if isinstance(value, np.ndarray):
        return id(value), value.dtype, value.shape, value.tobytes()
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    return value.getstate() if isinstance(value, random.Random) else None
