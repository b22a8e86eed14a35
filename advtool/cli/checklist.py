"""``advtool checklist``: what a finished run answers of the field's checklists."""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import FormatName, Output, answer

EPILOG = """
[bold]Examples[/bold]

[cyan]advtool eval --attack audit --run-dir runs/mine[/cyan]
[cyan]advtool checklist runs/mine[/cyan]

What is left to do:
[cyan]advtool checklist runs/mine --format json | jq -r '.items\\[].command // empty' | sort -u[/cyan]
"""


def checklist(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    format: FormatName = "table",
    output: Output = None,
) -> None:
    """Answer the field's checklists from a finished run. Nothing is computed again.

    The items are those of Carlini et al., Pintor et al. and RobustBench. Each
    is done (with its figure), not done (with the command that does it), not
    applicable, or left to you.
    """
    from advtool.evaluation.checklist.checklist import checklist as answered
    from advtool.evaluation.finished import read_finished

    answer(answered(read_finished(run).result), format, output)
