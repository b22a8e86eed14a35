"""Float32 arithmetic that is exact and repeatable, whatever torch was set to before."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from threading import RLock
from typing import Any

import torch

from advtool.compute.precision import full_precision

_defaults_of_user: ContextVar[tuple[torch.dtype, torch.device] | None] = ContextVar("the user's defaults", default=None)

_process_lock = RLock()
"""Default dtype and device, precision and global generators belong to the process, not to a thread."""


@contextmanager
def plain_defaults() -> Iterator[None]:
    """Set torch's default dtype to float32 and its default device to the CPU.

    Only one thread at a time is inside this context; other threads wait.
    """
    with _process_lock:
        dtype, device = torch.get_default_dtype(), torch.get_default_device()
        unusual = dtype is not torch.float32 or device.type != "cpu"
        token = _defaults_of_user.set((dtype, device) if unusual else _defaults_of_user.get())
        torch.set_default_dtype(torch.float32)
        try:
            with torch.device("cpu") if unusual else nullcontext():
                yield
        finally:
            torch.set_default_dtype(dtype)
            _defaults_of_user.reset(token)


def has_users_defaults() -> bool:
    """Whether the user has set another default dtype or device than :func:`plain_defaults`."""
    return _defaults_of_user.get() is not None


@contextmanager
def users_defaults() -> Iterator[None]:
    """Inside :func:`plain_defaults`, set the defaults that the user had set: the user's model expects them."""
    if (defaults := _defaults_of_user.get()) is None:
        yield
        return
    dtype, device = defaults
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute float32 products in float32, not in TF32 or bfloat16, so that equal calls give equal bits.

    Autocast is off, and cuDNN does not choose the fastest algorithm. Autograd's anomaly mode is off too, because it
    raises an error for a NaN. All settings are put back afterwards.

    Args:
        device: where the model is. A CUDA device becomes the current one.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        stack.enter_context(full_precision())
        cudnn: Any = torch.backends.cudnn
        for name, value in (("enabled", True), ("benchmark", False), ("deterministic", True)):
            stack.enter_context(_set(cudnn, name, value))
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))  # ART's "gpu" is the current CUDA device
        yield


def cudnn_enabled(enabled: bool) -> AbstractContextManager[None]:
    """Switch cuDNN on or off within the context."""
    return _set(torch.backends.cudnn, "enabled", enabled)


@contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give the attribute ``name`` of ``owner`` another value within the context."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
