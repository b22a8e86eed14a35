"""float32 that is float32 and repeatable, whatever the process was set to."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from threading import RLock
from typing import Any

import torch

_users: ContextVar[tuple[torch.dtype, torch.device] | None] = ContextVar("the user's defaults", default=None)


_alone = RLock()
"""Default dtype and device, precision and global generators belong to the process, not to a thread."""


@contextmanager
def plain_defaults() -> Iterator[None]:
    """Within it a tensor that names neither is float32 and on the CPU, whatever the process was set to.

    Only one thread at a time is within it; others wait.
    """
    with _alone, _plain_defaults():
        yield


@contextmanager
def _plain_defaults() -> Iterator[None]:
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    unusual = dtype is not torch.float32 or device.type != "cpu"
    token = _users.set((dtype, device) if unusual else _users.get())
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu") if unusual else nullcontext():
            yield
    finally:
        torch.set_default_dtype(dtype)
        _users.reset(token)


def has_users_defaults() -> bool:
    """Whether a user's model expects other defaults than :func:`plain_defaults`."""
    return _users.get() is not None


@contextmanager
def users_defaults() -> Iterator[None]:
    """Inside :func:`plain_defaults`, the defaults that a user's model expects."""
    if (users := _users.get()) is None:
        yield
        return
    dtype, device = users
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Within it no float32 product is rounded to TF32 or bfloat16, and equal calls give equal bits.

    Autocast is off, and so are cuDNN's choice of the fastest algorithm and autograd's anomaly mode, which makes
    an error of a NaN. On leaving, every setting is as it was.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        stack.enter_context(_full_precision())
        cudnn: Any = torch.backends.cudnn
        for name, value in (("enabled", True), ("benchmark", False), ("deterministic", True)):
            stack.enter_context(_set(cudnn, name, value))
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))  # ART's "gpu" is the current CUDA device
        yield


@contextmanager
def cudnn_enabled(enabled: bool) -> Iterator[None]:
    """Within it cuDNN is used, or not."""
    with _set(torch.backends.cudnn, "enabled", enabled):
        yield


@contextmanager
def _full_precision() -> Iterator[None]:
    """TF32 and bfloat16 products off: by the settings of torch 2.9, which may not be mixed with the older ones."""
    backends: Any = torch.backends
    with ExitStack() as stack:
        if hasattr(backends.cuda.matmul, "fp32_precision"):
            stack.enter_context(_full_precision_everywhere(backends))
        else:
            before = torch.get_float32_matmul_precision()
            stack.callback(torch.set_float32_matmul_precision, before)
            torch.set_float32_matmul_precision("highest")
            stack.enter_context(_set(backends.cudnn, "allow_tf32", False))
        yield


@contextmanager
def _full_precision_everywhere(backends: Any) -> Iterator[None]:
    general = [backends, backends.cudnn, backends.mkldnn]
    parts = [getattr(home, part, None) for home in general[1:] for part in ("matmul", "conv", "rnn")]
    homes = [*general, backends.cuda.matmul, *(part for part in parts if hasattr(part, "fp32_precision"))]
    before = [home.fp32_precision for home in homes]
    try:
        for home in homes:
            home.fp32_precision = "ieee"
        yield
    finally:
        for home, value in zip(homes, before, strict=True):  # a general setting overwrites its parts: it comes first
            home.fp32_precision = value


@contextmanager
def _set(home: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(home, name)
    setattr(home, name, value)
    try:
        yield
    finally:
        setattr(home, name, before)
