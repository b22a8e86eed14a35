"""Arguments of an evaluation, checked before anything is computed."""

from numbers import Integral, Real
from typing import Any

import torch

from advtool.errors import InputError


def as_eps(eps: Any) -> float:
    """The radius as a float.

    Raises:
        InputError: not a number in (0, 1].
    """
    if isinstance(eps, bool) or not isinstance(eps, Real) or not 0 < float(eps) <= 1:
        raise InputError(f"eps={eps!r} is no number in (0, 1]: it is a fraction of the pixel range, e.g. 8/255")
    return float(eps)


def as_device(device: Any) -> torch.device:
    """The device, if it is one that we compute on.

    Raises:
        InputError: unknown, neither a CPU nor CUDA, or absent.
    """
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"device {device!r} is unknown: use 'cpu' or 'cuda'") from None
    if place.type not in ("cpu", "cuda") or (place.type == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"device '{place}' is not to be had here: use 'cpu', or 'cuda' where there is a CUDA device")
    return place


def check_counts(**counts: tuple[Any, int]) -> None:
    """Each is (a value, the least it may be); None stands for a default.

    Raises:
        InputError: one is not an integer of at least that.
    """
    for name, (value, least) in counts.items():
        integer = isinstance(value, Integral) and not isinstance(value, bool)
        if (value is None and name != "seed") or (integer and value >= least):
            continue
        raise InputError(f"{name}={value!r} must be an integer of at least {least}")
