"""``advtool reproduce``: a table or figure of the papers, measured again."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import FormatName, answer
from advtool.cli.options import DataDir, Device, DeviceName, resolve_device
from advtool.cli.progress import say
from advtool.reproduce.registry import TABLES, Scale

EPILOG = "\n\n".join(
    [
        "[bold]Tables and figures[/bold]",
        *(f"[cyan]{name}[/cyan]: {title}" for name, title in TABLES.items()),
        "A table of your own: [cyan]FILE.py:NAME[/cyan] or [cyan]package.module:NAME[/cyan].",
        "[bold]Examples[/bold]",
        "Does it run? A minute on digits:  [cyan]advtool reproduce apb-fig2 --scale smoke[/cyan]",
        "On two cores, at most 20 minutes:  [cyan]advtool reproduce apb-fig2[/cyan]",
        "One data set, as Markdown:  [cyan]advtool reproduce apb-fig3a --dataset mnist --format markdown[/cyan]",
        "The verdicts:  [cyan]advtool reproduce apb-time --format json | jq '.rows\\[].verdict'[/cyan]",
    ]
)
FOLDER = Path("reproductions")


def reproduce(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Which table or figure; see the list below.")],
    scale: Annotated[
        Scale,
        typer.Option(
            help="smoke: it runs, and means nothing; cpu: at most 20 minutes on two cores; "
            "paper: the paper's protocol in full."
        ),
    ] = Scale.cpu,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="digits, mnist, fashion-mnist or cifar10; repeats.", show_default="by table"),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keeps models and evaluations; several tables may share it.",
            show_default="reproductions/SCALE",
        ),
    ] = None,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    format: FormatName = "table",
) -> None:
    """Measure a table or figure of the papers again, and say what holds.

    Trains and evaluates all that it needs. What is finished is kept: after
    Ctrl-C or a kill the same command goes on. The paper's values stand beside
    ours, with a verdict by a stated rule; TABLE.md, TABLE.json, TABLE.svg and
    TABLE.png (TABLE-DATASET with --dataset) are written into the folder of
    the run, the drawings if matplotlib is there.
    """
    from advtool.reproduce import registry

    chosen = registry.find(table)
    from advtool import files
    from advtool.cli.reproduction_progress import ReproductionProgress
    from advtool.report import FORMATS, plots, reproduction_plot
    from advtool.reproduce.engine import reproduce as carry_out

    folder = run_dir or FOLDER / scale
    name = "-".join([chosen.name, *dict.fromkeys(dataset or ())])
    drawn = plots.available()
    if not drawn:
        say("no drawings: they need matplotlib (pip install 'advtool[plots]')")
    with ReproductionProgress(f"reproducing {chosen.name}, scale {scale}", folder) as progress:
        result = carry_out(
            chosen,
            scale,
            folder=folder,
            datasets=dataset or (),
            device=resolve_device(device),
            data_dir=data_dir,
            command=shlex.join(["advtool", *sys.argv[1:]]),
            observer=progress,
        )
    for suffix, view in ((".md", "markdown"), (".json", "json")):
        content = FORMATS[view](result)
        files.write_atomically(folder / f"{name}{suffix}", content.encode())
    if drawn:
        paths = (folder / f"{name}{suffix}" for suffix in reproduction_plot.SUFFIXES)
        plots.save(reproduction_plot.figure(result), *paths)
    say(f"written to {folder}/{name}.md, .json{', .svg and .png' if drawn else ''}")
    answer(result, format)
