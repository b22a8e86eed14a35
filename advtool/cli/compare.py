"""``advtool compare``: is the model of one run more robust than the model of another, or was it luck?"""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import FormatName, Output, answer

EPILOG = """
[bold]Examples[/bold]

Two models on the same images, under the same attacks:
[cyan]advtool eval --checkpoint a.safetensors --run-dir runs/a[/cyan]
[cyan]advtool eval --checkpoint b.safetensors --run-dir runs/b[/cyan]
[cyan]advtool compare runs/a runs/b[/cyan]

Several models, a row each:  [cyan]advtool compare runs/a runs/b runs/c[/cyan]

In a pipeline:  [cyan]advtool compare runs/a runs/b --format json | jq .worst_case.p_value[/cyan]
"""


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of a finished run.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of the finished run to compare it with.")],
    more: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="More runs, each compared with RUN_A.", show_default=False),
    ] = None,
    format: FormatName = "table",
    output: Output = None,
) -> None:
    """Compare two runs image by image: each difference with its interval and a paired test.

    Both runs must have seen the same images, or one run the first N images of
    the other. Only attacks that both runs made count. Differences are A minus B.
    More than two runs give a table with a row for each run; its differences are
    those to the first run.
    """
    from advtool.studies.comparison import compare as compare_runs
    from advtool.studies.comparison import side_by_side

    if more:
        answer(side_by_side(run_a, run_b, *more), format, output)
    else:
        answer(compare_runs(run_a, run_b), format, output)
