"""``advtool reproduce``: a table or figure of the papers, measured again."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool.cli.answer import FormatName, answer
from advtool.cli.options import DATA_SETS, DataDir, Device, DeviceName, data_sets, resolve_device
from advtool.cli.progress import say
from advtool.errors import InputError
from advtool.reproduce.catalogue import TABLES, Scale, night_hours

if TYPE_CHECKING:
    from advtool.results import Reproduced

ALL = "all"
EPILOG = "\n\n".join(
    [
        "[bold]Tables and figures[/bold]",
        *(f"[cyan]{name}[/cyan]: {table.title}" for name, table in TABLES.items()),
        "A table of your own: [cyan]FILE.py:NAME[/cyan] or [cyan]package.module:NAME[/cyan].",
        "[bold]Examples[/bold]",
        "Does it run? A minute on digits:  [cyan]advtool reproduce apb-fig2 --scale smoke[/cyan]",
        "On two cores, at most 20 minutes:  [cyan]advtool reproduce apb-fig2[/cyan]",
        "One data set, as Markdown:  [cyan]advtool reproduce apb-fig3a --dataset mnist --format markdown[/cyan]",
        "The verdicts:  [cyan]advtool reproduce apb-time --format json | jq '.rows\\[].verdict'[/cyan]",
        "What there is, and what is done:  [cyan]advtool reproduce --list[/cyan]",
        "All; begin nothing after eight hours:  [cyan]advtool reproduce all --scale night --seconds 28800[/cyan]",
    ]
)
FOLDER = Path("reproductions")


def reproduce(
    table: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE",
            help="Which table or figure, see the list below; or 'all'.",
            autocompletion=lambda: [*TABLES, ALL],
        ),
    ] = None,
    scale: Annotated[
        Scale,
        typer.Option(
            help="smoke: a quick test that it runs, its figures mean nothing; cpu: at most 20 minutes on two cores; "
            f"night: all tables in about {night_hours() / 2:.0f} hours of two cores; paper: the paper's protocol in "
            "full."
        ),
    ] = Scale.cpu,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=data_sets,
            help=f"{DATA_SETS}; repeats.",
            show_default="by table",
        ),
    ] = None,
    list_tables: Annotated[
        bool, typer.Option("--list", help="Say what there is at this scale, how long it takes, and how much is done.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="Begin no new step after so many seconds; rows that are not finished stay blank. 0: compute nothing, "
            "and write the pages of what is done.",
            show_default="no end",
        ),
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

    It trains and evaluates all that the table needs. What is finished is kept:
    after Ctrl-C or a kill the same command goes on. The paper's values stand
    beside ours, with a verdict by a stated rule. The folder of the run gets
    TABLE.md and TABLE.json, and with matplotlib TABLE.svg and TABLE.png
    (TABLE-DATASET with --dataset).
    """
    if table is None and not list_tables:
        raise InputError(f"name a table or figure, or '{ALL}'; 'advtool reproduce --list' lists them")
    from advtool.reproduce import registry

    everything = table in (ALL, None)
    tables = registry.every(scale, dataset or ()) if everything else [registry.find(str(table))]
    from advtool.cli.reproduction_progress import ReproductionProgress
    from advtool.report import plots
    from advtool.reproduce import engine

    folder = run_dir or FOLDER / scale
    options: dict[str, Any] = {"folder": folder, "datasets": dataset or (), "data_dir": data_dir}
    options["device"] = resolve_device(device)
    if list_tables:
        answer(engine.standing(tables, scale, **options), format)
        return
    if not plots.available():
        say("no drawings: they need matplotlib (pip install 'advtool[plots]')")
    with ReproductionProgress(f"reproducing {table}, scale {scale}", folder) as progress:
        command = shlex.join(["advtool", *sys.argv[1:]])
        made = engine.reproduce_all(tables, scale, **options, seconds=seconds, command=command, observer=progress)
    given: dict[str, Sequence[object]] = {
        "--scale": [scale],
        "--dataset": dataset or (),
        "--run-dir": [run_dir],
        "--device": [] if device is DeviceName.auto else [device],
    }
    results = [_made_by(result, result.name if everything else str(table), given) for result in made]
    for result in results:
        _write(result, folder, dataset or ())
    answer(engine.standing(tables, scale, **options) if everything else results[0], format)


def _made_by(result: "Reproduced", table: str, given: Mapping[str, Sequence[object]]) -> "Reproduced":
    """The result with the command that makes this very table again, on a machine whose cache may lie elsewhere."""
    options = [str(word) for name, values in given.items() for each in values if each for word in (name, each)]
    again = {"command": shlex.join(["advtool", "reproduce", table, *options])}
    return result.model_copy(update={"provenance": result.provenance.model_copy(update=again)})


def _write(result: "Reproduced", folder: Path, datasets: Sequence[str]) -> None:
    """Put a table beside what it was made of, as a page, for programs and as drawings."""
    from advtool import files
    from advtool.report import FORMATS, plots, reproduction_plot

    name = "-".join([result.name, *dict.fromkeys(datasets)])
    drawn = bool(result.panels) and plots.available()
    for suffix, view in ((".md", "markdown"), (".json", "json")):
        files.write_atomically(folder / f"{name}{suffix}", FORMATS[view](result).encode())
    if drawn:
        paths = (folder / f"{name}{suffix}" for suffix in reproduction_plot.SUFFIXES)
        plots.save(reproduction_plot.figure(result), *paths)
    say(f"written to {folder}/{name}.md, .json{', .svg and .png' if drawn else ''}")
