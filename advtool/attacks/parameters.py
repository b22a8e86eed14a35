"""The parameters of attacks, checked: what is wrong is told with the attack and the parameter."""

import math
from collections.abc import Iterable
from typing import Any

from advtool import arguments
from advtool.arguments import LARGEST, LEAST, MOST, shown
from advtool.errors import InputError


def positive_integer(attack: str, name: str, value: Any) -> int:
    """The value, if it is an integer from 1 to a million; NumPy's comes out as Python's.

    Raises:
        InputError: it is not.
    """
    return arguments.count(_label(attack, name, value), value)


def positive_number(attack: str, name: str, value: Any, *, most: float = LARGEST) -> float:
    """The value, if it is a number above 0 and at most ``most``, to float32; NumPy's comes out as Python's.

    Raises:
        InputError: it is not.
    """
    number = arguments.number(value)
    if number is None or number <= 0:
        raise InputError(f"{_label(attack, name, value)} must be a number above 0")
    if not LEAST <= number <= most:
        raise InputError(f"{_label(attack, name, value)} must lie between {LEAST:g} and {most:g}")
    return number


def one_of(attack: str, name: str, value: Any, known: Iterable[str]) -> str:
    """The value, if it is one of the ``known`` names.

    Raises:
        InputError: it is not.
    """
    return arguments.choice(_label(attack, name, value), value, known)


def plain(attack: str, name: str, value: Any) -> Any:
    """A parameter of an attack that is not ours, as JSON knows it, with numbers of a sane size.

    Raises:
        InputError: it holds something else than None, booleans, numbers, text, lists, tuples and dicts of these.
    """
    label = _label(attack, name, value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list | tuple):
        items = [plain(attack, name, item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(attack, name, item) for key, item in value.items()}
    number = arguments.number(value)
    if number is None or not math.fabs(number) <= MOST:
        raise InputError(f"{label} must be None, a boolean, text, a number from -{MOST} to {MOST}, or a list of these")
    whole = arguments.integer(value)
    return number if whole is None else whole


def _label(attack: str, name: str, value: Any) -> str:
    return f"{attack}: {name}={shown(value)}"
