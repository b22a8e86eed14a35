"""Finds a table or figure by its name. A new one stands in a module beside this file and has an entry in ``TABLES``.

A table of your own needs no line: ``FILE.py:NAME`` or ``package.module:NAME`` names it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from advtool.errors import InputError, near_match
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.table import Table, check_datasets
from advtool.target.opening.kinds import is_code
from advtool.target.opening.user_code import one_line, surroundings
from advtool.target.opening.user_modules import importable, module_of


def find(name: str) -> Table:
    """The table of that name, or the one that a file or module of the user's defines.

    Raises:
        InputError: there is none, and the nearest is named; or the user's code cannot be imported.
    """
    place, colon, attribute = name.rpartition(":")
    if colon:
        return _of_the_user(place, attribute)
    if name not in TABLES:
        raise InputError(f"no table or figure '{name}'{near_match(name, TABLES)}")
    beside = _tables(import_module(f"{__package__}.{TABLES[name].module}")).values()
    return next(table for table in beside if table.name == name)


def every(scale: Scale, datasets: Sequence[str] = ()) -> list[Table]:
    """All tables; of ``datasets``, if any are named, those that take one of them at this scale.

    Raises:
        InputError: a data set is unknown, or no table takes any of them.
    """
    check_datasets(datasets)
    tables = [find(name) for name in TABLES]
    chosen = [table for table in tables if not datasets or {*datasets} & {*table.datasets_at(scale)}]
    if not chosen:
        taken = dict.fromkeys(name for table in tables for name in table.datasets_at(scale))
        asked = ", ".join(datasets)
        raise InputError(f"--dataset {asked}: no table takes it at the scale {scale}, which has {', '.join(taken)}")
    return chosen


def _of_the_user(place: str, attribute: str) -> Table:
    if not is_code(place):
        raise InputError(f"'{place}:{attribute}': '{place}' is neither FILE.py nor the name of a module")
    with surroundings(), importable(place):
        tables = _tables(module_of(place))
    if attribute not in tables:
        raise InputError(f"'{place}' has no table '{attribute}'{near_match(attribute, tables)}")
    table, name = tables[attribute], f"'{place}:{attribute}'"
    if Path(table.name).name != table.name:
        raise InputError(f"{name}: its name '{table.name}' must be a plain one, since files are called so")
    return replace(
        table,
        lines=_guarded(f"the lines of {name}", lambda scale, dataset: list(table.lines(scale, dataset))),
        rule=_guarded(f"the rule of {name}", table.rule),
        pictures=_guarded(f"the pictures of {name}", table.pictures),
    )


def _guarded(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the user's, whose errors end in one line."""

    @wraps(function)
    def answers(*arguments: Any) -> Any:
        with one_line(f"{what} failed"):
            return function(*arguments)

    return answers


def _tables(module: ModuleType) -> dict[str, Table]:
    """The tables of a module, by the names that they have there."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Table)}
