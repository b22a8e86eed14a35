"""``advtool report``: finished runs as one page."""

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """
[bold]Examples[/bold]

A page about a run:
[cyan]advtool eval --attack audit --run-dir runs/mine[/cyan]
[cyan]advtool report runs/mine[/cyan]

Two models side by side, with paired differences:
[cyan]advtool report runs/a runs/b --output models.html[/cyan]

With the curve over eps:
[cyan]advtool sweep eps --run-dir runs/curve[/cyan]
[cyan]advtool report runs/mine runs/curve[/cyan]
"""


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders of finished runs, or of sweeps.", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.html", help="The page; an existing file is replaced.")
    ] = Path("report.html"),
) -> None:
    """Make one page of finished runs, to read, to print or to send, and print its path.

    It shows the accuracies, each warning with what to do about it, accuracy by
    class, margins, adversarial examples, the checklist and the command that
    repeats the run. Nothing is computed again, and the page loads nothing from
    elsewhere. Several runs stand side by side; the first is compared with each
    of the others, image by image.
    """
    from advtool import files

    files.check_writable(output)
    from advtool.report.page import render
    from advtool.studies.page import read_page

    files.write_atomically(output, render(read_page(*runs)).encode())
    typer.echo(output)
