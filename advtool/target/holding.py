"""Find every object that a model holds and that its own code could change."""

import collections
import inspect
import random
import sys
import types
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
LEAVES = (Tensor, np.ndarray, set, *GENERATORS)
"""Objects with a content of their own, which hold no other objects."""
MAX_CONTAINER_DEPTH = 5
"""Containers inside containers are followed to this depth, counted from the nearest module."""
REGISTRIES = ("_parameters", "_buffers", "_modules")
"""The dictionaries in which a module keeps its registered attributes."""
FOLLOWED_CLASSES = (types.SimpleNamespace, Namespace, torch.optim.Optimizer)
"""Classes of Python and torch whose objects are followed all the same."""
UNFOLLOWED_PACKAGES = sys.stdlib_module_names - {"__main__"} | {"torch", "numpy", "torchvision", "functorch"}
"""Objects of other classes in these packages are not followed: a user's model does not change them."""


@dataclass(frozen=True)
class Holder:
    """An object that holds other objects by key, or holds a content of its own, or both."""

    value: Any
    """the object"""
    name: str
    """name of the module's attribute that leads to the object, e.g. ``block.cache``; a module's own name"""
    place: str
    """the name with the keys on the way, e.g. ``block.cache[0]``"""
    keys_are_attributes: bool
    """the object is a module, or one of a module's registries"""

    def named(self, key: Any) -> str:
        """The name of the module's attribute that leads to the item at ``key``."""
        return _dotted(self.name, str(key)) if self.keys_are_attributes and "[" not in self.place else self.name

    def placed(self, key: Any) -> str:
        """The place of the item at ``key``."""
        return _dotted(self.place, str(key)) if self.keys_are_attributes else f"{self.place}[{key}]"

    def inside(self) -> "Iterator[Holder]":
        """The items that the object holds itself."""
        for key, item in items_of(self.value).items():
            if isinstance(self.value, nn.Module) and key in REGISTRIES:
                yield Holder(item, self.name, self.place, keys_are_attributes=True)
            else:
                yield Holder(item, self.named(key), self.placed(key), keys_are_attributes=isinstance(item, nn.Module))


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every registered module by its first name, even where a user's model overrides ``modules()``."""
    found: dict[int, tuple[str, nn.Module]] = {}
    to_visit = [("", model)]
    while to_visit:
        name, module = to_visit.pop()
        if id(module) not in found:
            found[id(module)] = name, module
            inside = [(_dotted(name, key), child) for key, child in module._modules.items() if child is not None]
            to_visit.extend(reversed(inside))
    return dict(found.values())


def dense(value: Tensor) -> Tensor:
    """A tensor as most of torch takes it: a sparse one with its zeros, a quantised one as numbers; another as it is."""
    if value.is_quantized:
        return value.dequantize()
    return value if value.layout is torch.strided else value.to_dense()


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every registered parameter by its first name, even where a user's model overrides ``parameters()``."""
    return _registered(model, "_parameters")


def buffers_of(model: nn.Module) -> dict[str, Tensor]:
    """Every registered buffer by its first name, even where a user's model overrides ``buffers()``."""
    return _registered(model, "_buffers")


def _registered(model: nn.Module, registry: str) -> dict[str, Any]:
    found: dict[int, tuple[str, Any]] = {}
    for name, module in modules_of(model).items():
        for key, value in getattr(module, registry).items():
            if value is not None:
                found.setdefault(id(value), (_dotted(name, key), value))
    return dict(found.values())


def holders(model: nn.Module) -> list[Holder]:
    """The model and every module, container, object, tensor, array and generator that it holds, each once."""
    found: dict[int, Holder] = {}
    to_visit = collections.deque([(Holder(model, "", "", keys_are_attributes=True), MAX_CONTAINER_DEPTH)])
    while to_visit:
        holder, depth = to_visit.popleft()
        if id(holder.value) in found or not _is_followed(holder.value):
            continue
        found[id(holder.value)] = holder
        depth = MAX_CONTAINER_DEPTH if holder.keys_are_attributes else depth
        if depth > 0 and not holder.place.endswith("_hooks"):
            to_visit.extend((inner, depth - 1) for inner in holder.inside())
    return list(found.values())


def _is_followed(value: Any) -> bool:
    if isinstance(value, LEAVES):
        return not (isinstance(value, Tensor) and is_lazy(value))
    if isinstance(value, nn.Module | dict | list | tuple | collections.deque):
        return True
    if isinstance(value, type | types.FunctionType | types.MethodType | types.BuiltinFunctionType | types.ModuleType):
        return False
    kind = type(value)
    root = str(kind.__module__).partition(".")[0]
    if isinstance(value, FOLLOWED_CLASSES):
        return True
    return root not in UNFOLLOWED_PACKAGES and bool(_attributes(value) or _slots(kind))


def items_of(value: Any) -> dict[Any, Any]:
    """The items that an object holds, by key, in a new dictionary."""
    if isinstance(value, torch.jit.ScriptModule):
        registries = (dict(getattr(value, registry).items()) for registry in REGISTRIES)
        return dict(collections.ChainMap(*registries, _of_script(value)))
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list | tuple | collections.deque):
        return dict(enumerate(value))
    if isinstance(value, LEAVES):
        return {}
    slots = {key: slot.__get__(value) for key, slot in _slots(type(value)).items() if _is_set(slot, value)}
    return {**_attributes(value), **slots}


def put_items(value: Any, before: dict[Any, Any], now: dict[Any, Any]) -> None:
    """Give an object the items that it held before, and no others. The object itself stays the same.

    Args:
        value: the object.
        before: what :func:`items_of` gave then.
        now: what :func:`items_of` gives now.
    """
    if isinstance(value, torch.jit.ScriptModule):
        for key in _of_script(value):
            if not isinstance(before[key], Tensor):
                setattr(value, key, before[key])
    elif isinstance(value, dict):
        value.clear()
        value.update(before)
    elif isinstance(value, list | collections.deque):
        value.clear()
        value.extend(before.values())
    elif not isinstance(value, tuple):
        slots, attributes = _slots(type(value)), _attributes(value)
        for key in now.keys() - before.keys():
            slots[key].__delete__(value) if key in slots else attributes.pop(key, None)
        for key, item in before.items():
            if key not in now or now[key] is not item:
                slots[key].__set__(value, item) if key in slots else attributes.update({key: item})


def tensors_of(model: nn.Module) -> Iterator[tuple[str, Tensor | np.ndarray]]:
    """Every tensor and array that a model holds, with its place.

    Parameters, persistent and non-persistent buffers, and attributes are found, also inside containers, objects and
    modules that are not registered. Lazy parameters without values are left out.
    """
    for holder in holders(model):
        if isinstance(holder.value, Tensor | np.ndarray):
            yield holder.place, holder.value
    for name, module in modules_of(model).items():
        if "quantized" in type(module).__module__ and callable(weight := getattr(module, "weight", None)):
            yield _dotted(name, "weight()"), weight()  # packed weights are neither a parameter nor a buffer


def _of_script(module: Any) -> dict[str, Any]:
    """The attributes of a TorchScript module that its code reads or writes and that are not registered."""
    names: set[str] = set()
    for method in module._c._method_names():
        graph = module._c._get_method(method).graph
        for kind in ("prim::GetAttr", "prim::SetAttr"):
            names.update(node.s("name") for node in graph.findAllNodes(kind))
    others = {*module._parameters.keys(), *module._buffers.keys(), *module._modules.keys()}
    return {name: getattr(module, name) for name in sorted(names - others) if module._c.hasattr(name)}


def _attributes(value: Any) -> dict[str, Any]:
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return own if isinstance(own, dict) else {}


def _slots(kind: type) -> dict[str, Any]:
    """The descriptors of a class's slots, by name."""
    return {key: slot for base in kind.__mro__ for key, slot in vars(base).items() if inspect.ismemberdescriptor(slot)}


def _is_set(slot: Any, value: Any) -> bool:
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def _dotted(*names: str) -> str:
    return ".".join(name for name in names if name)
