"""The page that ``--help`` prints: two columns, what to write and what it is for.

Typer's own page has up to five columns. At 80 letters a line, that leaves eighteen for the words of ``advtool eval``.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.core import TyperArgument, TyperGroup

NARROWEST, WIDEST = 12, 26
"""Letters of the first column. What is longer has a line of its own."""
ARGUMENTS, OPTIONS = "Arguments", "Options"
LONGEST = 100
"""Letters of a line, however wide the terminal is."""


def help_page(command: Any, ctx: Any) -> None:
    """Print the help of a command or of a group: usage, purpose, arguments, options by panel, commands, examples."""
    console = Console(highlight=False)
    console.width = min(console.width, LONGEST)
    pieces = (re.sub("[{}]", "", piece).upper() for piece in command.collect_usage_pieces(ctx))
    console.print(Text(" ".join(["Usage:", ctx.command_path, *pieces]), style="bold"))
    for paragraph in _paragraphs(command.help):
        console.print("\n" + paragraph)
    for heading, rows in _sections(command, ctx).items():
        console.print(f"\n[bold]{heading}[/]")
        for line in _two_columns(rows, console):
            console.print(line)
    if command.epilog:
        console.print("\n" + inspect.cleandoc(command.epilog))


def _paragraphs(help: str | None) -> list[str]:
    """The paragraphs of a docstring, each in one line."""
    return [" ".join(each.split()) for each in inspect.cleandoc(help or "").split("\n\n")]


def _sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, Text]]]:
    """By heading: pairs of what to write and what it is for. Options without a heading come last, or first of all."""
    found: dict[str, list[tuple[str, Text]]] = {}
    for param in command.get_params(ctx):
        if not param.hidden:
            heading = param.rich_help_panel or (ARGUMENTS if isinstance(param, TyperArgument) else OPTIONS)
            found.setdefault(heading, []).append((_written(param, ctx), _purpose(param, ctx)))
    if next(heading for heading in found if heading != ARGUMENTS) != OPTIONS:
        found[OPTIONS] = found.pop(OPTIONS)
    if isinstance(command, TyperGroup):
        members = [(name, command.commands[name]) for name in command.list_commands(ctx)]
        found["Commands"] = [(name, Text.from_markup(_paragraphs(each.help)[0])) for name, each in members]
    return found


def _written(param: Any, ctx: Any) -> str:
    """``--eps E``, ``--certify, --no-certify``, ``-q, --quiet``; of an argument its name."""
    if isinstance(param, TyperArgument):
        return str(param.display_name_raw).upper()
    names = ", ".join(sorted((*param.opts, *param.secondary_opts), key=lambda name: name.startswith("--")))
    return names if param.is_flag else f"{names} {_value(param, ctx)}"


def _value(param: Any, ctx: Any) -> str:
    """What stands for the value: ``E``, ``cpu|cuda``, ``INT``."""
    if param.metavar is not None:
        return str(param.metavar)
    kind = param.display_type(ctx).strip("<>")
    return str(kind if "|" in kind else TYPES.get(kind, kind.upper()))


TYPES = {"int": "N", "int range": "N", "float": "X", "float range": "X", "str": "NAME", "path": "PATH"}
"""What stands for the value of an option that names nothing of its own."""


def _purpose(param: Any, ctx: Any) -> Text:
    text = Text.from_markup("\n".join(_paragraphs(param.help)))
    for words in (_environment(param), _default(param, ctx), "required" if param.required else ""):
        if words:
            text.append(f" [{words}]", style="dim")
    return text


def _environment(param: Any) -> str:
    return f"env var: {param.envvar}" if param.envvar else ""


def _default(param: Any, ctx: Any) -> str:
    """The default in words; nothing where an option has none, and of a flag that is off."""
    if isinstance(param.show_default, str):
        return f"default: {param.show_default}"
    value = param.get_default(ctx, call=False) if param.show_default else None
    if value is None or value is False or value == []:
        return ""
    return f"default: {value.value if isinstance(value, Enum) else value}"


def _two_columns(rows: Sequence[tuple[str, Text]], console: Console) -> Iterator[Text]:
    """The lines of the rows. What is too long for the first column has a line of its own."""
    first = max([NARROWEST, *(len(written) for written, _ in rows if len(written) <= WIDEST)])
    for written, purpose in rows:
        left = Text(written, style="cyan")
        lines = list(purpose.wrap(console, max(console.width - first - 4, NARROWEST)))
        if len(written) > first:
            lines.insert(0, Text())
        for line in lines:
            line.rstrip()
            yield Text.assemble("  ", left, " " * max(first + 2 - len(left), 0), line)
            left = Text()
