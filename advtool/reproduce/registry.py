"""Finds a table or figure by its name. A new one stands in one of ``MODULES`` and has a line in ``TABLES``.

A table of your own needs no line: ``FILE.py:NAME`` or ``package.module:NAME`` names it.
"""

import runpy
from collections.abc import Sequence
from importlib import import_module

from advtool.errors import InputError, near_match
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.table import Table

MODULES = ("apb", "apb_readings", "pnil", "pnil_curves", "pnil_maps", "pnil_masking", "pnil_readings", "timings")
"""Where they are."""


def find(name: str) -> Table:
    """The table of that name, or the one that a file or module of the user's defines.

    Raises:
        InputError: there is none; the nearest is named.
    """
    place, colon, attribute = name.rpartition(":")
    if colon:
        tables = _defined_in(place)
        if attribute not in tables:
            raise InputError(f"'{place}' has no table '{attribute}'{near_match(attribute, tables)}")
        return tables[attribute]
    if name not in TABLES:
        raise InputError(f"no table or figure '{name}'{near_match(name, TABLES)}")
    every = (table for module in MODULES for table in _defined_in(f"{__package__}.{module}").values())
    return next(table for table in every if table.name == name)


def every(scale: Scale, datasets: Sequence[str] = ()) -> list[Table]:
    """All tables; of ``datasets``, if any are named, those that take one of them at this scale."""
    tables = [find(name) for name in TABLES]
    return [table for table in tables if not datasets or {*datasets} & {*table.datasets_at(scale)}]


def _defined_in(place: str) -> dict[str, Table]:
    """The tables of a file or module, by the names that they have there."""
    try:
        defined = runpy.run_path(place) if place.endswith(".py") else vars(import_module(place))
    except (OSError, ImportError, SyntaxError) as error:
        raise InputError(f"'{place}': {error}") from None
    return {name: value for name, value in defined.items() if isinstance(value, Table)}
