"""A user's model in our hands: on the device, in eval mode, parameters frozen, and afterwards as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advtool.compute.memory import freed_memory_kept
from advtool.errors import InputError
from advtool.target.arithmetic import exact_arithmetic
from advtool.target.holding import buffers_of, holders, items_of, modules_of, parameters_of, put_items
from advtool.target.state import State


@dataclass(frozen=True)
class Handled:
    """A model as it may be asked now."""

    model: nn.Module
    """the user's own, in eval mode and frozen"""
    state: State
    """what it holds before the first call, on the device"""
    train_mode: bool
    """it was handed over with modules in train mode"""
    trainable: tuple[nn.Parameter, ...] = ()
    """parameters that took gradients before they were frozen"""


@contextmanager
def handled(model: nn.Module, device: torch.device) -> Iterator[Handled]:
    """The model on ``device``, in eval mode and frozen, with exact arithmetic; left as it was, buffers included.

    Args:
        model: the user's.
        device: where to compute; tensors that modules hold as plain attributes go there too.

    Raises:
        InputError: it is no module, or has parameters without values.
    """
    home = home_of(model)
    check_tensors(model)
    before = State(model, copies=home == device)
    was_training = [module for module in modules_of(model).values() if _trains(module)]
    inside = None
    try:
        if home != device:
            move(model, device)
        _leave_inference(model)
        trainable = tuple(_trainable(model))
        with frozen(model), exact_arithmetic(device), freed_memory_kept():
            inside = State(model, like=before)
            yield Handled(model, inside, any(not _trains(module) for module in was_training), trainable)
    finally:
        if inside is not None:
            inside.restore()
        if home != device:
            move(model, home)
        before.restore()


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without parameter gradients, for a while; left as it was afterwards."""
    modes = [(module, module.training) for module in _with_modes(model)]
    needy = _trainable(model)
    try:
        for parameter in needy:
            parameter.requires_grad_(False)
        _evaluate(model)
        yield model
    finally:
        for module, training in modes:
            module.training = training
        had = {id(module) for module, _ in modes}
        for module in modules_of(model).values():
            if isinstance(module, torch.jit.ScriptModule) and id(module) not in had:
                vars(module).pop("training", None)  # eval() gives a frozen one what it never had
        for parameter in needy:
            parameter.requires_grad_(True)


def home_of(model: Any) -> torch.device:
    """Where the model's first parameter, buffer or other tensor lies; the CPU if it has none.

    Raises:
        InputError: it is no module.
    """
    if not isinstance(model, nn.Module) or not hasattr(model, "_modules"):
        raise InputError(
            f"the model is a {type(model).__name__}, not a torch.nn.Module that is ready to be called: {_advice(model)}"
        )
    tensors = (holder.value for holder in holders(model) if isinstance(holder.value, Tensor))
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def _advice(model: Any) -> str:
    if isinstance(model, nn.Module):
        return "its __init__ must call super().__init__()"
    if isinstance(model, torch.export.ExportedProgram):
        return "give its .module()"
    if isinstance(getattr(model, "model", None), nn.Module):
        return "give its .model"
    return "wrap it in a module whose forward calls it"


def check_tensors(model: nn.Module) -> None:
    """Refuse parameters and buffers that have no values yet.

    Raises:
        InputError: one has none; its name is given.
    """
    for name, tensor in (*parameters_of(model).items(), *buffers_of(model).items()):
        if is_lazy(tensor):
            raise InputError(f"the model's '{name}' does not exist yet (a lazy layer): call the model once first")
        if tensor.is_meta:
            raise InputError(f"the model's '{name}' has no values (it is on the meta device): load its weights first")


def move(model: nn.Module, device: torch.device) -> None:
    """Move parameters and buffers, and what ``Module.to`` forgets: tensors held in any other way."""
    nn.Module.to(model, device)
    known = {id(module) for module in modules_of(model).values()}
    for holder in holders(model):
        if isinstance(holder.value, nn.Module) and id(holder.value) not in known:
            nn.Module.to(holder.value, device)
        items = items_of(holder.value)
        strays = {key: item for key, item in items.items() if _is_stray(item, device)}
        if strays and not isinstance(holder.value, tuple | torch.jit.ScriptModule):
            put_items(holder.value, items | {key: item.to(device) for key, item in strays.items()}, items)


def _leave_inference(model: nn.Module) -> None:
    """Copies for tensors that were made in inference mode: no gradient goes past them."""
    for holder in holders(model):
        items = items_of(holder.value)
        made = {key: item for key, item in items.items() if isinstance(item, Tensor) and item.is_inference()}
        if made and not isinstance(holder.value, tuple | torch.jit.ScriptModule):
            put_items(holder.value, items | {key: _usable(item) for key, item in made.items()}, items)


def _usable(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


def _is_stray(item: Any, device: torch.device) -> bool:
    return isinstance(item, Tensor) and not isinstance(item, nn.Parameter) and item.device != device


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [each for each in parameters_of(model).values() if each.requires_grad and not each.is_inference()]


def _evaluate(model: nn.Module) -> None:
    try:
        model.eval()
    except Exception:  # a program of torch.export has no modes, and a user's own train() may want other arguments
        for module in _with_modes(model):
            module.training = False


def _with_modes(model: nn.Module) -> list[nn.Module]:
    return [module for module in modules_of(model).values() if hasattr(module, "training")]


def _trains(module: nn.Module) -> bool:
    return bool(getattr(module, "training", False))  # a frozen TorchScript module has no mode
