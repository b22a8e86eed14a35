"""Prepare a user's model for an evaluation (device, eval mode, frozen parameters), and put it back afterwards."""

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
    """A user's model that is ready to be asked."""

    model: nn.Module
    """the user's own model, on the device, in eval mode and frozen"""
    state: State
    """the model's state on the device, before its first call"""
    train_mode: bool
    """some modules were in train mode when the user handed the model over"""
    trainable: tuple[nn.Parameter, ...] = ()
    """parameters that took gradients before they were frozen"""


@contextmanager
def handled(model: nn.Module, device: torch.device) -> Iterator[Handled]:
    """Move the model to ``device``, freeze it in eval mode, and compute exactly; afterwards put all of it back.

    Args:
        model: the user's model.
        device: where to compute. Tensors that modules hold as plain attributes move there too.

    Yields:
        The model, ready to be asked. Its buffers and attributes are put back afterwards.

    Raises:
        InputError: ``model`` is not a module, or has parameters without values.
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
    """Put the model into eval mode and switch its parameters' gradients off; afterwards put both back."""
    modes = [(module, module.training) for module in _with_modes(model)]
    trainable = _trainable(model)
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        put_into_eval_mode(model)
        yield model
    finally:
        for module, training in modes:
            module.training = training
        had_a_mode = {id(module) for module, _ in modes}
        for module in modules_of(model).values():
            if isinstance(module, torch.jit.ScriptModule) and id(module) not in had_a_mode:
                vars(module).pop("training", None)  # a frozen script had no mode until eval() gave it one
        for parameter in trainable:
            parameter.requires_grad_(True)


def put_into_eval_mode(model: nn.Module) -> None:
    """``model.eval()``. If that fails, its modules are told so one by one."""
    try:
        model.eval()
    except Exception:  # torch.export's programs have no modes, and a user's own train() may take other arguments
        for module in _with_modes(model):
            module.training = False


def home_of(model: Any) -> torch.device:
    """The device of the model's first parameter, buffer or other tensor; the CPU if the model has no tensor.

    Raises:
        InputError: ``model`` is not a module.
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
        InputError: a parameter or buffer has no values; the message gives its name.
    """
    refuse_meta(model)
    for name, tensor in _tensors(model):
        if is_lazy(tensor):
            raise InputError(f"the model's '{name}' does not exist yet (a lazy layer): call the model once first")


def refuse_meta(model: nn.Module) -> None:
    """Refuse parameters and buffers on the meta device, from which nothing can be moved.

    Raises:
        InputError: there is one; the message gives its name.
    """
    for name, tensor in _tensors(model):
        if tensor.is_meta:
            raise InputError(f"the model's '{name}' has no values (it is on the meta device): load its weights first")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every registered parameter and buffer, by its name."""
    yield from parameters_of(model).items()
    yield from buffers_of(model).items()


def move(model: nn.Module, device: torch.device) -> None:
    """Move all tensors of the model: parameters, buffers, and the tensors in attributes, which ``Module.to`` leaves."""
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
    """Replace tensors that were made in inference mode by copies, because autograd refuses them."""
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


def _with_modes(model: nn.Module) -> list[nn.Module]:
    return [module for module in modules_of(model).values() if hasattr(module, "training")]


def _trains(module: nn.Module) -> bool:
    return bool(getattr(module, "training", False))  # a frozen TorchScript module has no mode
