"""The answer of a command: in which format, on stdout or into a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from advtool.cli.progress import say
from advtool.errors import InputError
from advtool.report import FORMATS, Document, as_text, to_table


def parse_format(name: str) -> str:
    """The name of a format.

    Raises:
        InputError: there is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"--format '{name}' is unknown: use {', '.join(FORMATS)}")
    return name


FormatName = Annotated[
    str,
    typer.Option("--format", parser=parse_format, metavar=f"[{'|'.join(FORMATS)}]", help="How the answer is written."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write the answer there.", show_default="stdout"),
]


def answer(result: Document, format: str, output: Path | None = None) -> None:
    """Write ``result`` in one of ``FORMATS``; a terminal gets the table in colour.

    Args:
        result: what was found.
        format: the key of ``FORMATS``.
        output: a file, replaced whole; None is stdout.
    """
    if output is not None:
        from advtool import files

        files.write_atomically(output, FORMATS[format](result).encode())
        say(f"written to {output}")
    elif format == "table" and sys.stdout.isatty():
        Console(highlight=False).print(as_text.renderable(to_table(result)))
    else:
        typer.echo(FORMATS[format](result), nl=False)
