"""Writes the answer of a command, in one of several formats, to stdout or into a file."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from advtool import files
from advtool.cli.progress import say
from advtool.errors import InputError
from advtool.ranks import Ranks
from advtool.report import FORMATS, Document, as_text, to_table


def format_option(*more: str) -> Any:
    """The option ``--format``.

    Args:
        more: names beside those of ``FORMATS``, which the command itself knows what to do with.
    """

    def parse(name: str) -> str:
        if name not in complete():
            raise InputError(f"--format '{name}' is unknown: use {', '.join(complete())}")
        return name

    def complete() -> list[str]:
        return [*FORMATS, *more]

    return typer.Option(
        "--format",
        parser=parse,
        autocompletion=complete,
        metavar="|".join(complete()),
        help="How the answer is written.",
    )


def _writable(output: Path | None) -> Path | None:
    """Refuse before hours of work a file that cannot be written."""
    if output is not None:
        files.check_writable(output)
    return output


def plot_option(what: str) -> Any:
    """The option ``--plot``, which draws ``what``."""
    return typer.Option(
        "--plot",
        metavar="FILE",
        callback=_drawable,
        help=f"Draw the {what} (.png, .svg or .pdf).",
        show_default="no plot",
    )


def _drawable(plot: Path | None) -> Path | None:
    """Refuse before hours of work a plot that cannot be drawn or written."""
    if plot is not None:
        from advtool.report import plots

        plots.check(plot)
    return plot


FormatName = Annotated[str, format_option()]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", callback=_writable, help="File for the answer.", show_default="stdout"),
]

READ = ("model", "checkpoint", "weights", "surrogate", "surrogate_weights", "classes", "dataset", "config")
"""Parameters of commands that may name a file which the command reads."""


def refuse_replaced_files(params: Mapping[str, Any]) -> None:
    """Refuse an ``--output`` or a ``--plot`` that would replace a file which the command reads, or one of a run.

    Args:
        params: the values of the command's parameters, by name.

    Raises:
        InputError: there is one; the message names it.
    """
    for option in ("output", "plot"):
        written = params.get(option)
        if written is None or files.is_special(written):
            continue
        for read in (params.get(name) for name in READ):
            if read is not None and written.is_file() and _is_file(str(read), written):
                raise InputError(
                    f"--{option} '{written}' would replace a file that the command reads, '{read}': name another file"
                )
        if (
            option == "plot"
            and params.get("output") is not None
            and files.resolved(written) == files.resolved(params["output"])
        ):
            raise InputError(f"--plot '{written}' would replace --output: name another file")
        _refuse_file_of_run(f"--{option} '{written}'", files.resolved(written), params.get("run_dir"))


def _refuse_file_of_run(label: str, file: Path, run_dir: Path | None) -> None:
    """Refuse a file of a run that is there, or of the one that the command writes into ``run_dir``."""
    for folder in file.parents[:2]:  # a run's files lie in its folder and in folders there
        is_written = run_dir is not None and folder == files.resolved(run_dir)
        if not is_written and not (folder / "manifest.json").is_file():
            continue  # what follows takes seconds to import
        from advtool.studies.listing import is_run, owns

        if (is_written or is_run(folder)) and owns(folder, file):
            raise InputError(f"{label} is a file of the run '{folder}', which would be lost: name another file")


def _is_file(text: str, file: Path) -> bool:
    """Whether ``text`` names the file, as MODEL does: ``net.py`` and ``net.py:make``."""
    return any(path.exists() and path.samefile(file) for path in (Path(text), Path(text.rpartition(":")[0])))


def answer(result: Document, format: str, output: Path | None = None) -> None:
    """Write ``result`` in one of ``FORMATS``; of several ranks the first does. A terminal gets the table in colour.

    Args:
        result: the answer of the command.
        format: a key of ``FORMATS``.
        output: the file that the answer replaces; None writes to stdout.
    """
    if not Ranks.of_environment().is_first:
        return
    if output is not None:
        files.write_atomically(output, FORMATS[format](result).encode())
        say(f"written to {output}")
    elif format == "table" and sys.stdout.isatty():
        Console(highlight=False).print(as_text.renderable(to_table(result)), crop=False)
    else:
        typer.echo(FORMATS[format](result), nl=False)
    if not FORMATS[format].has_notes:
        for note in to_table(result).notes:
            say(note)
