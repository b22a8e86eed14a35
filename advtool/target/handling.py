"""A user's model in our hands: on the device, in eval mode, parameters frozen, and afterwards as it was."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advtool.memory import freed_memory_kept
from advtool.target.arithmetic import exact_arithmetic
from advtool.target.state import State, attributes


@dataclass(frozen=True)
class Handled:
    """A model as it may be asked now."""

    model: nn.Module
    """the user's own, in eval mode and frozen"""
    state: State
    """its buffers and attributes before the first call, on the device"""
    train_mode: bool
    """it was handed over with modules in train mode"""


@contextmanager
def handled(model: nn.Module, device: torch.device) -> Iterator[Handled]:
    """The model on ``device``, in eval mode and frozen, with exact arithmetic; left as it was, buffers included.

    Args:
        model: the user's.
        device: where to compute; tensors that modules hold as plain attributes go there too.
    """
    before, home = State(model), home_of(model)
    was_training = [module for module in model.modules() if _trains(module)]
    try:
        _move(model, device)
        with frozen(model), exact_arithmetic(device), freed_memory_kept():
            yield Handled(model, State(model), any(not _trains(module) for module in was_training))
    finally:
        _move(model, home)
        before.restore()


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode and without parameter gradients, for a while; left as it was afterwards."""
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
    needy = [parameter for parameter in model.parameters() if parameter.requires_grad and not parameter.is_inference()]
    try:
        for parameter in needy:
            parameter.requires_grad_(False)
        with suppress(NotImplementedError):  # a program of torch.export has no modes
            model.eval()
        yield model
    finally:
        for module, training in modes:
            module.training = training
        for parameter in needy:
            parameter.requires_grad_(True)


def home_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter or buffer lies; the CPU if it has none."""
    tensors = (value for value in model.state_dict().values() if isinstance(value, Tensor))
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def _trains(module: nn.Module) -> bool:
    return bool(getattr(module, "training", False))  # a frozen TorchScript module has no mode


def _move(model: nn.Module, device: torch.device) -> None:
    """Move parameters and buffers, and what ``Module.to`` forgets: tensors held as attributes."""
    model.to(device)
    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):
            for key, value in attributes(module).items():
                if isinstance(value, Tensor) and value.device != device and key not in module._buffers:
                    vars(module)[key] = value.to(device)
