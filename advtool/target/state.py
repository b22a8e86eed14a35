"""What a model holds that a call may change: kept beforehand, compared, and put back."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

OF_EVERY_MODULE = frozenset(vars(nn.Module()))
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
DEEPEST = 4
"""Containers inside containers are followed so far."""


class State:
    """A model's buffers and attributes as they are now.

    Buffers are copied, and so are tensors, arrays, lists, dictionaries and sets that modules hold as attributes;
    of random generators the state is kept. Parameters are not copied: a forward pass leaves them alone.

    Args:
        model: any module. Of a TorchScript module the buffers alone are seen.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = [
            (name, module, {key: _Kept(value) for key, value in attributes(module).items()})
            for name, module in model.named_modules()
        ]

    def changed(self) -> list[str]:
        """The names of the buffers and attributes that are others by now, or new, or gone."""
        return sorted(_dotted(name, key) for name, module, kept in self._modules for key in _changed(module, kept))

    def restore(self, *, generators: bool = True) -> None:
        """Put back what is no longer as it was; random ``generators`` may go on."""
        for _, module, kept in self._modules:
            for key in _changed(module, kept):
                was = kept.get(key)
                if generators or was is None or not isinstance(was.value, GENERATORS):
                    _bind(module, key, was)


def tensors_of(model: nn.Module) -> Iterator[tuple[str, Tensor | np.ndarray]]:
    """Every tensor and array of a model by name: parameters, buffers, non-persistent ones too, and attributes.

    Tensors inside lists, tuples and dictionaries are found as well. Parameters that no call has made yet are left out.
    """
    for name, parameter in model.named_parameters():
        if not is_lazy(parameter):
            yield name, parameter
    for name, module in model.named_modules():
        for key, value in attributes(module).items():
            yield from _tensors_in(_dotted(name, key), value, DEEPEST)
        if callable(weight := getattr(module, "weight", None)) and not isinstance(module, torch.jit.ScriptModule):
            yield _dotted(name, "weight()"), weight()  # a quantised layer's, which is neither parameter nor buffer


def attributes(module: nn.Module) -> dict[str, Any]:
    """The buffers and the attributes of one module by name, without what every module has."""
    if isinstance(module, torch.jit.ScriptModule):
        return dict(module.named_buffers(recurse=False))
    own = {key: value for key, value in vars(module).items() if key not in OF_EVERY_MODULE}
    return {**module._buffers, **own}


class _Kept:
    """A value with a copy of its content."""

    def __init__(self, value: Any, depth: int = DEEPEST) -> None:
        self.value, self.items, self.content = value, None, None
        if isinstance(value, dict | list | tuple) and depth:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            self.items = {key: _Kept(item, depth - 1) for key, item in pairs}
        else:
            self.content = _content(value)

    def is_still(self, now: Any) -> bool:
        """Whether ``now`` is worth what the value was worth."""
        if self.items is not None:
            if type(now) is not type(self.value) or len(now) != len(self.items):
                return False
            pairs = dict(now.items() if isinstance(now, dict) else enumerate(now))
            return pairs.keys() == self.items.keys() and all(
                kept.is_still(pairs[key]) for key, kept in self.items.items()
            )
        if self.content is None:
            return now is self.value or bool(isinstance(now, int | float | complex | str | bytes) and now == self.value)
        return type(now) is type(self.value) and _equal(_content(now), self.content)

    def put_back(self) -> Any:
        """The value itself, with its old content."""
        if self.items is not None:
            items = {key: kept.put_back() for key, kept in self.items.items()}
            if isinstance(self.value, dict):
                self.value.clear()
                self.value.update(items)
            elif isinstance(self.value, list):
                self.value[:] = items.values()
        elif self.content is not None and not _equal(_content(self.value), self.content):
            _set_content(self.value, self.content)
        return self.value


def _content(value: Any) -> Any:
    if isinstance(value, Tensor):
        return None if is_lazy(value) else value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, set):
        return set(value)
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    return value.getstate() if isinstance(value, random.Random) else None


def _set_content(value: Any, content: Any) -> None:
    if isinstance(value, Tensor):
        with torch.no_grad(), torch.inference_mode(value.is_inference()):
            value.resize_(content.shape).copy_(content) if value.shape != content.shape else value.copy_(content)
    elif isinstance(value, np.ndarray):
        value[...] = content
    elif isinstance(value, set):
        value.clear()
        value.update(content)
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = content
    elif isinstance(value, random.Random):
        value.setstate(content)
    else:
        value.set_state(content)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
        return bool(alike and (torch.equal(one, other) or _bytes(one) == _bytes(other)))  # NaN is not equal to itself
    if isinstance(one, np.ndarray):
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
        return bool(alike and one.tobytes() == other.tobytes())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy()) if tensor.numel() else b""


def _changed(module: nn.Module, kept: dict[str, _Kept]) -> list[str]:
    now = attributes(module)
    return [key for key in {**kept, **now} if key not in kept or key not in now or not kept[key].is_still(now[key])]


def _bind(module: nn.Module, key: str, kept: _Kept | None) -> None:
    """The attribute as it was kept; gone if it was not there."""
    home = module._buffers if key in module._buffers else vars(module)
    if kept is None:
        home.pop(key, None)
        return
    value = kept.put_back()
    if not isinstance(module, torch.jit.ScriptModule):
        home[key] = value


def _tensors_in(name: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor | np.ndarray]]:
    if isinstance(value, Tensor | np.ndarray):
        yield name, value
    elif isinstance(value, dict | list | tuple) and depth:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors_in(f"{name}[{key}]", item, depth - 1)


def _dotted(*names: str) -> str:
    return ".".join(name for name in names if name)
