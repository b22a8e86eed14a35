"""Checks of arguments: numbers, names, lists, paths and devices as plain values."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advtool.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import nn

LARGEST_COUNT = 1_000_000
"""The largest count of steps, draws or images in a step. More would never end, or fill the memory."""
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-30, 1e6
"""Between these, float32 can hold a number, its square and its inverse."""
LAST_SEED = 2**63 - 1
MOST_DIGITS = 18
"""Integers with so many fit into 64 bits."""
LONGEST_SHOWN = 120
"""A message shows this many characters of a value."""


def shown(value: Any) -> str:
    """A value for a message: in one line, cut if it is long."""
    try:
        text = " ".join(repr(os.fspath(value) if isinstance(value, Path) else value).split())
    except Exception:  # of a foreign class, or an integer with too many digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def integer(value: Any) -> int | None:
    """An integer of Python or NumPy as Python's int. Anything else, also a bool, gives None."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return None
    return int(value)


def number(value: Any) -> float | None:
    """A finite real number of Python or NumPy as a float. Anything else, also a bool, gives None."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def count(label: str, value: Any, least: int = 1, most: int = LARGEST_COUNT) -> int:
    """The value, if it is an integer from ``least`` to ``most``.

    Args:
        label: how a message begins: the option and its value, e.g. ``steps=0``.
        value: of any type.
        least: the smallest that is allowed.
        most: the largest that is allowed.

    Raises:
        InputError: it is no integer, or out of range.
    """
    whole = integer(value)
    if whole is None or whole < least:
        raise InputError(f"{label} must be an integer of at least {least}")
    if whole > most:
        raise InputError(f"{label} must be at most {most}")
    return whole


def flag(label: str, value: Any) -> bool:
    """True or False.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, bool):
        raise InputError(f"{label} must be True or False")
    return value


def image_shape(label: str, value: Any) -> tuple[int, ...]:
    """The value, if it is the shape (C, H, W) of an image: three integers of at least 1.

    Raises:
        InputError: it is something else.
    """
    sides = [integer(side) for side in value] if isinstance(value, Sequence) else []
    if len(sides) != 3 or not all(side is not None and side >= 1 for side in sides):
        raise InputError(f"{label} must be (C, H, W), three integers of at least 1, e.g. (3, 32, 32)")
    return tuple(side for side in sides if side is not None)


def module(value: Any) -> nn.Module:
    """The value, if it is a module of torch.

    Raises:
        InputError: it is something else.
    """
    from torch import nn  # noqa: PLC0415 - as in device

    if not isinstance(value, nn.Module):
        raise InputError(f"model={shown(value)} must be an nn.Module")
    return value


def interval(label: str, value: Any) -> tuple[float, float]:
    """The value, if it is two numbers, the lower one first.

    Raises:
        InputError: it is something else.
    """
    ends = [number(end) for end in value] if isinstance(value, list | tuple) else []
    low, high = ends if len(ends) == 2 else (None, None)
    if low is None or high is None or not low < high:
        raise InputError(f"{label} must be (low, high), two numbers, e.g. (0, 1)")
    return low, high


def seconds(label: str, value: Any) -> float:
    """The value, if it is a time.

    Raises:
        InputError: it is no number from 0 to ``LARGEST_NUMBER``.
    """
    time = number(value)
    if time is None or not 0 <= time <= LARGEST_NUMBER:
        raise InputError(f"{label} must be a number of seconds from 0 to {LARGEST_NUMBER:g}")
    return time


def share(label: str, value: Any) -> float:
    """The value, if it is a share of images.

    Raises:
        InputError: it is no number from 0 to 1.
    """
    part = number(value)
    if part is None or not 0 <= part <= 1:
        raise InputError(f"{label} must be a number from 0 to 1")
    return part


def factor(label: str, value: Any) -> float:
    """The value, if it is a factor of 1 or more.

    Raises:
        InputError: it is no number from 1 to ``LARGEST_COUNT``.
    """
    times = number(value)
    if times is None or not 1 <= times <= LARGEST_COUNT:
        raise InputError(f"{label} must be a number from 1 to {LARGEST_COUNT}")
    return float(times)


def even_count(label: str, value: Any) -> int:
    """The value, if it is an even integer of at least 2; the arguments are those of :func:`count`.

    Raises:
        InputError: it is not.
    """
    whole = count(label, value, 2)
    if whole % 2:
        raise InputError(f"{label} must be even")
    return whole


def seed(label: str, value: Any) -> int:
    """The value, if it can seed a random stream. :func:`count` explains the arguments.

    Raises:
        InputError: it is no integer from 0 to 2**63 - 1.
    """
    whole = integer(value)
    if whole is None or whole < 0:
        raise InputError(f"{label} must be an integer of at least 0")
    if whole > LAST_SEED:
        raise InputError(f"{label} must be at most 2**63 - 1")
    return whole


def written_count(text: str) -> int | None:
    """A count as a command line gives it; None: the text is no integer from 1 to 10**18 - 1."""
    whole = int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else 0
    return whole or None


def fraction(label: str, text: str) -> float:
    """``0.3`` or ``8/255`` as a number: how a command line gives a fraction of the pixel range.

    Args:
        label: how a message begins: the option, e.g. ``--eps``.
        text: as the user wrote it.

    Raises:
        InputError: it is no number.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"{label} '{text}' is no number: write a fraction of the pixel range, such as 0.3 or 8/255"
        ) from None


def eps(option: str, text: str) -> float:
    """:func:`fraction` in (0, 1].

    Raises:
        InputError: it is no number, or out of range.
    """
    radius = fraction(option, text)
    if not 0 < radius <= 1:
        raise InputError(
            f"{option} {text} is outside (0, 1]: eps is a fraction of the pixel range, so 8 of 255 levels is 8/255"
        )
    return radius


def named(label: str, value: Any) -> dict[str, Any]:
    """Values by name, given as a mapping or as pairs.

    Raises:
        InputError: it is neither, or a name is no text.
    """
    try:
        found = dict(value)
    except (TypeError, ValueError):
        found = {None: value}
    if not all(isinstance(name, str) for name in found):
        raise InputError(f"{label} must be values by name, such as {{'width': 16}}")
    return found


def listed(label: str, values: Any) -> list[Any]:
    """The values of a list, a tuple, an array or another iterable.

    Raises:
        InputError: they are no list, but for example one number or text.
    """
    if isinstance(values, Mapping | str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{label} must be a list")
    try:
        return list(values)
    except TypeError:  # an array without dimensions
        raise InputError(f"{label} must be a list") from None


def choice(label: str, value: Any, known: Iterable[str]) -> str:
    """The value, if it is one of the ``known`` names.

    Raises:
        InputError: it is another value; the message lists the names.
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        near = did_you_mean(value, names) if isinstance(value, str) else ""
        raise InputError(f"{label} must be one of {', '.join(names)}{near}")
    return str(value)


def path(label: str, value: Any) -> Path:
    """The value as a path, if a file can have that name.

    Raises:
        InputError: it is neither text nor a path, or no file can have that name.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise InputError(f"{label} must be a path")
    try:
        os.lstat(value)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{label} cannot be a path: {reason}") from None
    return Path(value)


def encodable(label: str, text: str) -> str:
    """The text, if an answer can hold it: a file's name may be bytes that are no UTF-8, and JSON has none of these.

    Raises:
        InputError: it is no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{label} '{text}' is no UTF-8, so no answer could name it: give it another name") from None
    return text


def device(value: Any) -> torch.device:
    """The device, if it is the CPU or a CUDA device that is present.

    Raises:
        InputError: it is another device, or absent.
    """
    import torch  # noqa: PLC0415 - it takes seconds, and --help needs only the other checks of this file

    try:
        place = torch.device(value)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise InputError(f"device {shown(value)} is unknown: use 'cpu' or 'cuda'") from None
    present = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(place.type, 0)
    if (place.index or 0) >= present:
        raise InputError(f"device '{place}' is not to be had here: use 'cpu', or 'cuda' where there is a CUDA device")
    return place
