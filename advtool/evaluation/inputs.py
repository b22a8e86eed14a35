"""Checks of arguments, before anything is computed. Each message begins with the argument's name and value."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from advtool import arguments
from advtool.arguments import shown
from advtool.errors import InputError


def as_folder(name: str, folder: Any) -> Path | None:
    """The folder as a path; None stays None.

    Raises:
        InputError: it is no path.
    """
    return None if folder is None else arguments.path(f"{name}={shown(folder)}", folder)


def as_list(name: str, values: Any) -> list[Any]:
    """The values of a list, a tuple, an array or another iterable.

    Raises:
        InputError: they are no list, but for example one number or text.
    """
    if isinstance(values, Mapping | str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{name}={shown(values)} must be a list")
    try:
        return list(values)
    except TypeError:  # an array without dimensions
        raise InputError(f"{name}={shown(values)} must be a list") from None
