"""What tests of strange models share: images, a plain model to compare with, and what a model holds."""

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

SHAPE = (1, 4, 4)
EPS = 0.05
ATTACKS = ("fgsm", "pgd", "square(queries=30)")
TIMES = ("seconds", "date", "started", "finished")


def images(count: int = 12, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


class Around(nn.Module):
    """``mlp`` with something before it and something after it."""

    def __init__(
        self, before: Callable[[Tensor], Any] = lambda x: x, after: Callable[[Tensor], Any] = lambda z: z
    ) -> None:
        super().__init__()
        self.model, self.before, self.after = mlp(SHAPE), before, after

    def forward(self, x: Tensor) -> Any:
        return self.after(self.model(self.before(x)))


def labels(model: nn.Module, x: Tensor, classes: int = 4) -> Tensor:
    """What a plain model says of the images, but for every sixth."""
    with torch.no_grad():
        y = model(x).argmax(1)
    y[::6] = (y[::6] + 1) % classes
    return y


def evaluate(model: Any, x: Tensor, y: Tensor, **options: Any) -> advtool.Evaluation:
    asked = {"eps": EPS, "attacks": ATTACKS, "pgd_steps": 5} | options
    return advtool.evaluate(model, x, y, **asked)


def numbers(result: advtool.Evaluation) -> dict[str, int]:
    """The right images, clean and of each attack."""
    return {"clean": result.clean.correct, **{attack.name: attack.robust for attack in result.attacks}}


def codes(result: advtool.Evaluation) -> set[str]:
    return {finding.code for finding in result.warnings}


def document(result: advtool.Evaluation) -> Any:
    """The whole answer, but for the times."""
    return _without_times(result.to_dict())


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def forget(folder: Path) -> None:
    """What a kill leaves: some shards, no inspection, no answer."""
    for name in ("inspection.json", "result.json", "images.jsonl"):
        (folder / name).unlink()
    for path in [*(folder / "shards").glob("2-*"), *(folder / "shards").glob("3-*")]:
        path.unlink()


def held_by(model: nn.Module) -> dict[str, Any]:
    """Everything that a model holds, in a form that can be compared."""
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
    """Of tensors, arrays and generators: what they hold, and which they are."""
    if isinstance(value, Tensor):
        empty = is_lazy(value) or value.is_meta
        if empty:
            return id(value)
        plain = value.dequantize() if value.is_quantized else value.detach()
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
