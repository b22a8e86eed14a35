"""What a model holds: every object that its own code could change, found from the model on."""

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
NUMBERS = (Tensor, np.ndarray, set, *GENERATORS)
"""What holds a content and no other objects."""
DEEPEST = 5
"""Containers inside containers are followed so far; modules are followed wherever they are."""
REGISTRIES = ("_parameters", "_buffers", "_modules")
"""Where a module keeps what others call its attributes."""
OPEN = (types.SimpleNamespace, Namespace, torch.optim.Optimizer)
"""Objects that are followed although their classes are Python's or torch's."""
CLOSED = sys.stdlib_module_names - {"__main__"} | {"torch", "numpy", "torchvision", "functorch"}


@dataclass(frozen=True)
class Holder:
    """An object that holds others by keys, or numbers, or both."""

    value: Any
    name: str
    """of the module's attribute that leads to it; of a module its own"""
    place: str
    """the same with the keys inside: ``cache[0]``"""
    opens: bool
    """it is a module, or a module's own dictionary: its keys are attributes"""

    def named(self, key: Any) -> str:
        """The module's attribute that leads to what is at ``key``."""
        return _dotted(self.name, str(key)) if self.opens and "[" not in self.place else self.name

    def placed(self, key: Any) -> str:
        """The same with the keys inside."""
        return _dotted(self.place, str(key)) if self.opens else f"{self.place}[{key}]"

    def inside(self) -> "Iterator[Holder]":
        """What it leads to in one step."""
        for key, item in items_of(self.value).items():
            if isinstance(self.value, nn.Module) and key in REGISTRIES:
                yield Holder(item, self.name, self.place, opens=True)
            else:
                yield Holder(item, self.named(key), self.placed(key), opens=isinstance(item, nn.Module))


def modules_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every registered module by its first name, whatever the model has made of ``modules()``."""
    found: dict[int, tuple[str, nn.Module]] = {}
    ways = [("", model)]
    while ways:
        name, module = ways.pop()
        if id(module) not in found:
            found[id(module)] = name, module
            inside = [(_dotted(name, key), child) for key, child in module._modules.items() if child is not None]
            ways.extend(reversed(inside))
    return dict(found.values())


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every registered parameter by its first name, whatever the model has made of ``parameters()``."""
    return _registered(model, "_parameters")


def buffers_of(model: nn.Module) -> dict[str, Tensor]:
    """Every buffer by its first name."""
    return _registered(model, "_buffers")


def _registered(model: nn.Module, registry: str) -> dict[str, Any]:
    found: dict[int, tuple[str, Any]] = {}
    for name, module in modules_of(model).items():
        for key, value in getattr(module, registry).items():
            if value is not None:
                found.setdefault(id(value), (_dotted(name, key), value))
    return dict(found.values())


def holders(model: nn.Module) -> list[Holder]:
    """The model, and every module, container, object, tensor, array and generator that it leads to, each once."""
    found: dict[int, Holder] = {}
    ways = collections.deque([(Holder(model, "", "", opens=True), DEEPEST)])
    while ways:
        holder, depth = ways.popleft()
        if id(holder.value) in found or not _is_followed(holder.value):
            continue
        found[id(holder.value)] = holder
        depth = DEEPEST if holder.opens else depth
        if depth > 0 and not holder.place.endswith("_hooks"):
            ways.extend((inner, depth - 1) for inner in holder.inside())
    return list(found.values())


def _is_followed(value: Any) -> bool:
    if isinstance(value, NUMBERS):
        return not (isinstance(value, Tensor) and is_lazy(value))
    if isinstance(value, nn.Module | dict | list | tuple | collections.deque):
        return True
    if isinstance(value, type | types.FunctionType | types.MethodType | types.BuiltinFunctionType | types.ModuleType):
        return False
    kind = type(value)
    root = str(kind.__module__).partition(".")[0]
    return isinstance(value, OPEN) or (root not in CLOSED and bool(_attributes(value) or _slots(kind)))


def items_of(value: Any) -> dict[Any, Any]:
    """What an object holds by key, a new dictionary."""
    if isinstance(value, torch.jit.ScriptModule):
        registries = (dict(getattr(value, registry).items()) for registry in REGISTRIES)
        return dict(collections.ChainMap(*registries, _of_script(value)))
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list | tuple | collections.deque):
        return dict(enumerate(value))
    if isinstance(value, NUMBERS):
        return {}
    slots = {key: slot.__get__(value) for key, slot in _slots(type(value)).items() if _is_set(slot, value)}
    return {**_attributes(value), **slots}


def put_items(value: Any, before: dict[Any, Any], now: dict[Any, Any]) -> None:
    """Give an object the items that it held ``before``, and no others, in its own place."""
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
        slots, home = _slots(type(value)), _attributes(value)
        for key in now.keys() - before.keys():
            slots[key].__delete__(value) if key in slots else home.pop(key, None)
        for key, item in before.items():
            if key not in now or now[key] is not item:
                slots[key].__set__(value, item) if key in slots else home.update({key: item})


def tensors_of(model: nn.Module) -> Iterator[tuple[str, Tensor | np.ndarray]]:
    """Every tensor and array of a model by name: parameters, buffers, non-persistent ones too, and attributes.

    Tensors inside containers, objects and modules that are not registered are found as well. Parameters that no call
    has made yet are left out.
    """
    for holder in holders(model):
        if isinstance(holder.value, Tensor | np.ndarray):
            yield holder.place, holder.value
    for name, module in modules_of(model).items():
        if "quantized" in type(module).__module__ and callable(weight := getattr(module, "weight", None)):
            yield _dotted(name, "weight()"), weight()  # neither parameter nor buffer


def _of_script(module: Any) -> dict[str, Any]:
    """Of a TorchScript module the attributes that are no tensors of its own, as far as its code speaks of them."""
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
    """The descriptors of a class's slots."""
    return {key: slot for base in kind.__mro__ for key, slot in vars(base).items() if inspect.ismemberdescriptor(slot)}


def _is_set(slot: Any, value: Any) -> bool:
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def _dotted(*names: str) -> str:
    return ".".join(name for name in names if name)
