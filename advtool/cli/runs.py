"""``advtool runs``: which runs there are, and how far each is."""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import FormatName, Output, answer
from advtool.evaluation.settings import RUNS

EPILOG = """
[bold]Examples[/bold]

[cyan]advtool runs[/cyan]

Go on with a run that was stopped:  [cyan]advtool eval --resume runs/mine[/cyan]

The folders of the finished runs:
[cyan]advtool runs --format json | jq -r '.runs\\[] | select(.state == "finished") | .run'[/cyan]
"""


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of runs, of sweeps, or a run.", show_default="runs/")
    ] = RUNS,
    format: FormatName = "table",
    output: Output = None,
) -> None:
    """List the runs in a folder and in those below it, the newest first.

    A run is finished, going on (a process on this machine computes it), or
    stopped; for a stopped one you get the command that goes on with it. A run
    is damaged if its manifest cannot be read.
    """
    from advtool.studies.listing import list_runs

    answer(list_runs(folder), format, output)
