"""In which precision and memory layout a model computes, where rounding does no harm: as the device gains from it."""

from typing import get_args

import torch
from torch import nn

from advtool import arguments, compute
from advtool.arguments import shown

Precision = compute.Precision
PRECISIONS = get_args(Precision)

WIDE = 64
"""A convolution of that many filters keeps a matrix unit busy. Below it the casts cost more than they save."""


def check_precision(precision: str) -> None:
    """Raise an InputError unless it is one of ``PRECISIONS``."""
    arguments.choice(f"precision={shown(precision)}", precision, PRECISIONS)


def resolve(precision: Precision, model: nn.Module, device: torch.device) -> Precision:
    """What ``auto`` means: bfloat16 for a model with wide convolutions on a device with units for it, else float32."""
    if precision != "auto":
        return precision
    return "bfloat16" if is_wide(model) and has_bfloat16_units(device) else "float32"


def layout(model: nn.Module) -> torch.memory_format:
    """channels_last for a model with wide convolutions, in which it is faster at either precision."""
    return torch.channels_last if is_wide(model) else torch.contiguous_format


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context for a pass through the model and its loss, not for the backward pass nor the optimiser."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def is_wide(model: nn.Module) -> bool:
    """Whether the model has a two-dimensional convolution of 64 filters or more."""
    return any(isinstance(module, nn.Conv2d) and module.out_channels >= WIDE for module in model.modules())


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; on a CPU that is AMX or AVX512_BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch has no public question for it yet; without these two it only emulates bfloat16.
    questions = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(question() for question in questions if question is not None)
