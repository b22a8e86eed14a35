"""The answer of a command that evaluates: in which format, on stdout or into a file."""

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console, RenderableType

from advtool.cli.progress import say

Result = TypeVar("Result")


class Format(StrEnum):
    """How the answer is written."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


FormatName = Annotated[Format, typer.Option("--format", help="How the answer is written.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write the answer there.", show_default="stdout"),
]


def answer(
    result: Result,
    format: StrEnum,
    output: Path | None,
    *,
    formats: Mapping[str, Callable[[Result], str]],
    renderable: Callable[[Result], RenderableType],
) -> None:
    """Write ``result`` in one of ``formats``; a terminal gets the table in colour.

    Args:
        result: what was found.
        format: the key of ``formats``.
        output: a file, replaced whole; None is stdout.
        formats: the views of such a result as text, by name.
        renderable: its table for a Rich console.
    """
    from advtool import files

    if output is not None:
        files.write_atomically(output, formats[format](result).encode())
        say(f"written to {output}")
    elif format == "table" and sys.stdout.isatty():
        Console(highlight=False).print(renderable(result))
    else:
        typer.echo(formats[format](result), nl=False)
