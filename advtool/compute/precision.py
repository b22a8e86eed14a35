"""The precision and the memory layout that are fastest for a model on a device, where rounding does no harm."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from advtool import compute

Precision = compute.Precision

WIDE_FILTERS = 64
"""A convolution with this many filters keeps a matrix unit busy. With fewer, casts cost more than they save."""
FEW_CHANNELS = 8
"""The channels in a vector of AVX2."""


def resolve(precision: Precision, model: nn.Module, device: torch.device) -> Precision:
    """The precision that is meant; ``auto`` is bfloat16 for wide convolutions on a device with units for it.

    On other devices, and for other models, ``auto`` is float32.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if is_wide(model) and has_bfloat16_units(device) else "float32"


def layout(model: nn.Module) -> torch.memory_format:
    """The layout of a model's weights and images: channels_last if it has wide convolutions, else contiguous.

    Wide convolutions are faster so in both precisions.
    """
    return torch.channels_last if is_wide(model) else torch.contiguous_format


def training_layout(model: nn.Module, device: torch.device) -> torch.memory_format:
    """The layout in which a model trains: channels_last on a CPU, which computes the gradients of weights faster in it.

    On other devices it is that of :func:`layout`. A CPU takes contiguous tensors if the model samples few channels:
    there torch 2.15 (oneDNN's ``jit_avx2_1x1_convolution_bwd_weights``) writes beyond the gradient, hangs or crashes.
    """
    if device.type != "cpu":
        return layout(model)
    return torch.contiguous_format if any(map(_samples_few_channels, model.modules())) else torch.channels_last


def _samples_few_channels(module: nn.Module) -> bool:
    """Whether it is a strided convolution of single pixels with less than eight channels."""
    if not isinstance(module, nn.Conv2d) or module.in_channels // module.groups >= FEW_CHANNELS:
        return False
    return {*module.kernel_size} == {1} and {*module.stride} != {1}


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context for a pass through the model and its loss. The backward pass and the optimiser stay outside."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def products_in(value: str, owners: Sequence[Any]) -> Iterator[None]:
    """Set torch's ``fp32_precision`` within the context.

    Args:
        value: ``ieee`` or ``tf32``.
        owners: of the setting. A general one overwrites its parts, so it comes before them.
    """
    before = [owner.fp32_precision for owner in owners]
    try:
        for owner in owners:
            owner.fp32_precision = value
        yield
    finally:
        for owner, old in zip(owners, before, strict=True):
            owner.fp32_precision = old


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in float32: switch TF32 and bfloat16 off.

    Torch 2.9 has new settings for this, and refuses to mix them with the older ones.
    """
    backends: Any = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        with products_in("ieee", _owners_of_precision(backends)):
            yield
        return
    matmul, convolution = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        backends.cudnn.allow_tf32 = convolution


def _owners_of_precision(backends: Any) -> list[Any]:
    """All that has a setting ``fp32_precision``, the general ones first."""
    general = [backends, backends.cudnn, backends.mkldnn]
    parts = [getattr(owner, part, None) for owner in general[1:] for part in ("matmul", "conv", "rnn")]
    return [*general, backends.cuda.matmul, *(part for part in parts if hasattr(part, "fp32_precision"))]


def is_wide(model: nn.Module) -> bool:
    """Whether the model has a two-dimensional convolution with ``WIDE_FILTERS`` filters or more."""
    return any(isinstance(module, nn.Conv2d) and module.out_channels >= WIDE_FILTERS for module in model.modules())


def has_bfloat16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; on a CPU that is AMX or AVX512_BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # torch has no public question for it yet. A CPU that has neither emulates bfloat16, which is slow.
    questions = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(question() for question in questions if question is not None)
