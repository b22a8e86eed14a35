"""``--config FILE.toml``: options from a file, in a table that is called like the command.

::

    [eval]
    attack = ["pgd(steps=100)", "square"]
    eps = "8/255"
    certify = true

A key is the name of an option, or of an argument. Its value is read as if it stood on the command line. ``check``
reads the table of ``eval`` too, so that one file serves both.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from typer.core import TyperArgument

from advtool.errors import InputError, near_match, reason
from advtool.files import read_any

MOST_BYTES = 2**20
NAMED_BY_THE_USER = {"COMMANDLINE", "DEFAULT_MAP"}
"""The sources of values, as Typer calls them, that a user wrote: on the command line, or in a file of options."""
_READS_TOO = {"check": "eval"}
"""A command that also reads another's table, for the options that they share. Its own table wins."""
_OF_THE_ANSWER = {"format", "output"}
"""Options that say where a command's answer goes. They are not shared: the answers would overwrite each other."""


def load(ctx: Any, param: Any, file: Path | None) -> Path | None:
    """Read the file as the defaults of the command, as the callback of the option ``--config``.

    Raises:
        InputError: the file cannot be read, it has no table for the command, or a key or a value is wrong.
    """
    if file is None or ctx.resilient_parsing:
        return file
    tables, command = _read(file), str(ctx.info_name)
    commands = ctx.parent.command.commands
    takers = [name for name, each in commands.items() if param.name in {p.name for p in each.params}]
    for name, table in tables.items():
        if name not in takers or not isinstance(table, dict):
            hint = near_match(name, takers) if isinstance(table, dict) else f" (options stand in a table: [{command}])"
            raise InputError(f"--config '{file}': unknown table or key '{name}'{hint}")
    read = [*filter(None, [_READS_TOO.get(command)]), command]
    if not tables.keys() & read:
        raise InputError(f"--config '{file}': it has no table {' or '.join(f'[{name}]' for name in reversed(read))}")
    shared = {each.name for each in ctx.command.params} - _OF_THE_ANSWER
    ctx.default_map = {}
    for table in read:
        params = [each for each in commands[table].params if each.name != param.name]
        found = defaults(params, tables.get(table, {}), partial("--config '{1}': {2} in [{0}]".format, table, file))
        ctx.default_map |= {name: value for name, value in found.items() if table == command or name in shared}
    return file


def defaults(params: Iterable[Any], values: Mapping[str, Any], label: Callable[[str], str]) -> dict[str, Any]:
    """The values of options by their keys, checked, as defaults for Typer.

    Args:
        params: the options and arguments that may have a value.
        values: by key.
        label: makes the beginning of a message of a key.

    Raises:
        InputError: a key or a value is wrong.
    """
    known, found = {key_of(each): each for each in params}, dict[str, Any]()
    for key, value in values.items():
        option = known.get(key.replace("-", "_"))
        if option is None:
            raise InputError(f"{label(key)} is no option{near_match(key.replace('_', '-'), _spelled(known))}")
        if option.name in found:
            raise InputError(f"{label(key)} stands twice, once with - and once with _: leave one out")
        found[option.name] = _as_written(label(key), option, value)
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_any(file, MOST_BYTES).decode())
    except OSError as error:
        raise InputError(f"--config: cannot read '{file}': {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # bytes that are no text, or text that is no TOML
        raise InputError(f"--config: '{file}' is no TOML: {reason(error)}") from None


def key_of(param: Any) -> str:
    """``pgd_steps`` of ``--pgd-steps``; of an argument its name."""
    if isinstance(param, TyperArgument):
        return str(param.name)
    return str(max(param.opts, key=len)).removeprefix("--").replace("-", "_")


def _spelled(keys: Mapping[str, Any]) -> list[str]:
    return [key.replace("_", "-") for key in keys]


def _as_written(label: str, param: Any, value: Any) -> Any:
    """The value as the command line has it: text; of a flag a bool, of an option that repeats a list of texts."""
    if getattr(param, "is_flag", False):
        if not isinstance(value, bool):
            raise InputError(f"{label} must be true or false")
        return value
    if param.multiple:
        if not isinstance(value, list):
            raise InputError(f'{label} repeats: write a list, such as ["{value}"]')
        return [_text(label, each) for each in value]
    return _text(label, value)


def _text(label: str, value: Any) -> str:
    """A number or a text as it is, a list with commas, a table as JSON."""
    if isinstance(value, dict):
        try:
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError(f"{label} must hold what JSON can: no date, no time, no nan and no inf") from None
    if isinstance(value, list):
        return ",".join(_text(label, each) for each in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{label} must be a number or text")
    return str(value)
