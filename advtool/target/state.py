"""Keep what a model holds, see what its calls have changed, and put it back."""

import collections
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from advtool import seeding
from advtool.target.holding import GENERATORS, Holder, dense, holders, items_of, put_items

PLAIN_TYPES = (int, float, complex, str, bytes)
"""Immutable values, which are compared by ``==``."""


class State:
    """What a model holds now: its objects, and the content of every tensor, array, container and generator.

    Args:
        model: any module. A TorchScript module shows only the attributes that its code reads or writes.
        like: an earlier state of the same model. Copies of tensors that are still equal are shared with it.
        copies: copy the content of tensors and arrays. Without, only the objects and their memory are kept.
    """

    def __init__(self, model: nn.Module, *, like: "State | None" = None, copies: bool = True) -> None:
        earlier: dict[int, _Kept] = {} if like is None else like._kept
        self._kept: dict[int, _Kept] = {
            id(each.value): _keep(each, earlier.get(id(each.value)), copies) for each in holders(model)
        }

    def changed(self) -> list[str]:
        """The names of the attributes that have another value now, are new, or are gone."""
        return sorted(set(self._changed()))

    def restore(self, *, generators: bool = True) -> None:
        """Put back all that has changed.

        Args:
            generators: put random generators back too.
        """
        for kept in self._kept.values():
            now = items_of(kept.value)
            if list(now) != list(kept.items) or any(now[key] is not item for key, item in kept.items.items()):
                put_items(kept.value, kept.items, now)
        for kept in self._kept.values():
            if generators or not isinstance(kept.value, GENERATORS):
                _put_content(kept.value, kept.content)

    def seed(self, stream: int) -> None:
        """Give every random generator that the model holds a seed of its own, derived from ``stream``."""
        generators = (kept.value for kept in self._kept.values() if isinstance(kept.value, GENERATORS))
        for number, generator in enumerate(generators):
            _seed(generator, seeding.derive(stream, number))

    def _changed(self) -> Iterator[str]:
        for kept in self._kept.values():
            now = items_of(kept.value)
            for key in {**kept.items, **now}:
                if key not in kept.items or key not in now or not self._has_same_value(kept.items[key], now[key]):
                    yield kept.holder.named(key)
            if not _is_still(kept.value, kept.content):
                yield kept.holder.name

    def _has_same_value(self, was: Any, now: Any) -> bool:
        """Whether the object ``now`` has the value that the object ``was`` had when it was kept.

        The same object counts as equal here, because :meth:`_changed` compares its content.
        """
        if was is now:
            return True
        if type(was) is not type(now):
            return False
        kept = self._kept.get(id(was))
        if kept is None:
            return isinstance(was, PLAIN_TYPES) and (was == now or repr(was) == repr(now))
        if kept.content is not None:
            return _is_still(now, kept.content)
        if not isinstance(was, dict | list | tuple | collections.deque):
            return False
        items = items_of(now)
        return items.keys() == kept.items.keys() and all(
            self._has_same_value(item, items[key]) for key, item in kept.items.items()
        )


class _Kept(NamedTuple):
    """An object, and what it held when it was kept."""

    holder: Holder
    items: dict[Any, Any]
    """the objects that it held, by key"""
    content: Any
    """its own content, see :func:`_content`"""

    @property
    def value(self) -> Any:
        return self.holder.value


class _Numbers(NamedTuple):
    """The content of a tensor."""

    memory: Tensor
    """a second tensor on the same memory, which shows later changes"""
    copy: Tensor | None
    """the numbers when they were kept; None: not copied"""
    needs_grad: bool
    """the tensor's ``requires_grad``"""
    grad: Tensor | None
    """the tensor's ``grad``"""


def _keep(holder: Holder, earlier: _Kept | None, copies: bool) -> _Kept:
    content = _content(holder.value, copies)
    if isinstance(content, _Numbers) and copies:
        before = None if earlier is None else earlier.content.copy
        same = before is not None and _equal(before, content.memory)
        content = content._replace(copy=before if same else content.memory.clone())
    return _Kept(holder, items_of(holder.value), content)


def _content(value: Any, copies: bool = True) -> Any:
    """The content of a tensor, array, set or generator; None for objects that only hold other objects."""
    if isinstance(value, Tensor):
        leaf = value.is_leaf and not value.is_inference()
        return _Numbers(value.detach(), None, value.requires_grad, value.grad if leaf else None)
    if isinstance(value, np.ndarray):
        return value.copy() if copies else None
    if isinstance(value, set):
        return set(value)
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    return value.getstate() if isinstance(value, random.Random) else None


def _seed(generator: Any, stream: int) -> None:
    if isinstance(generator, torch.Generator):
        generator.manual_seed(stream)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = type(generator.bit_generator)(stream).state
    else:
        generator.seed(stream % 2**32)


def _is_still(value: Any, content: Any) -> bool:
    """Whether an object's content equals the content that was kept; True if none was kept."""
    if content is None:
        return True
    if isinstance(content, _Numbers):
        return content.copy is None or _equal(value.detach(), content.copy)
    return _equal(_content(value), content)


def _put_content(value: Any, content: Any) -> None:
    if isinstance(content, _Numbers):
        _put_numbers(value, content)
    elif _is_still(value, content):
        return
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


def _put_numbers(value: Tensor, content: _Numbers) -> None:
    with torch.no_grad(), torch.inference_mode(value.is_inference()):
        if _place(value) != _place(content.memory):
            value.data = content.memory
        if content.copy is not None and not _is_still(value, content):
            value.detach().copy_(content.copy)
    if not value.is_inference() and value.is_leaf:
        if value.requires_grad != content.needs_grad:
            value.requires_grad_(content.needs_grad)
        if value.grad is not content.grad:
            value.grad = content.grad


def _place(tensor: Tensor) -> Any:
    """Where a tensor's numbers lie in memory, and how."""
    try:
        return tensor.data_ptr(), tensor.shape, tensor.stride()
    except (RuntimeError, NotImplementedError):  # sparse, or a subclass without memory of its own
        return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
        plain = one.layout is torch.strided and not one.is_quantized
        equal = alike and plain and torch.equal(one, other)
        return equal or bool(alike and bytes_of(one) == bytes_of(other))  # bytes, because NaN != NaN
    if isinstance(one, np.ndarray):
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
        return bool(alike and one.tobytes() == other.tobytes())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def bytes_of(value: Tensor | np.ndarray) -> bytes:
    """The numbers of a tensor or an array as bytes. Sparse and quantised tensors are made dense first."""
    if isinstance(value, np.ndarray):
        return repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
    plain = dense(value).detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
    return plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b""
