"""Writes the answer of a command, in one of several formats, to stdout or into a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from advtool.cli.progress import say
from advtool.errors import InputError
from advtool.report import FORMATS, Document, as_text, to_table


def parse_format(name: str) -> str:
    """The name, if a format has it.

    Raises:
        InputError: there is no format of that name.
    """
    if name not in FORMATS:
        raise InputError(f"--format '{name}' is unknown: use {', '.join(FORMATS)}")
    return name


FormatName = Annotated[
    str,
    typer.Option("--format", parser=parse_format, metavar=f"[{'|'.join(FORMATS)}]", help="Format of the answer."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="File for the answer.", show_default="stdout"),
]


def answer(result: Document, format: str, output: Path | None = None) -> None:
    """Write ``result`` in one of ``FORMATS``. A terminal gets the table in colour.

    Args:
        result: the answer of the command.
        format: a key of ``FORMATS``.
        output: the file that the answer replaces; None writes to stdout.
    """
    if output is not None:
        from advtool import files

        files.write_atomically(output, FORMATS[format](result).encode())
        say(f"written to {output}")
    elif format == "table" and sys.stdout.isatty():
        Console(highlight=False).print(as_text.renderable(to_table(result)))
    else:
        typer.echo(FORMATS[format](result), nl=False)
