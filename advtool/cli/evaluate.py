"""``advtool eval``: how robust is this checkpoint?"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from advtool.cli.options import DataDir, Device, DeviceName, Seed, eps_option, resolve_device
from advtool.cli.progress import say
from advtool.errors import InputError

if TYPE_CHECKING:
    from advtool.results import Evaluation

EPILOG = """
[bold]Examples[/bold]

The newest checkpoint under fgsm, pgd and spsa:  [cyan]advtool eval[/cyan]

Stronger, and on all test images:
[cyan]advtool eval --attack "pgd(steps=100, restarts=5)" --images all[/cyan]

An attack of ART:  [cyan]advtool eval --attack "art:SquareAttack(max_iter=500)"[/cyan]

In a pipeline:  [cyan]advtool eval --format json | jq .worst_case.accuracy[/cyan]

In CI, exit code 1 if too weak:  [cyan]advtool eval --fail-under 0.4[/cyan]
"""


class Format(StrEnum):
    """How the answer is written."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


def parse_images(text: str) -> int:
    """A count of images; ``all`` is 0."""
    if text == "all":
        return ALL
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--images '{text}': write a number of at least 1, or 'all'")
    return int(text)


ALL = 0
CHECKPOINTS = Path("checkpoints")
RUNS = Path("runs")


def evaluate(
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The model.", show_default="newest under checkpoints/"),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            "--attack",
            metavar="NAME",
            help="fgsm, pgd, spsa, the suite 'paper' (these three), or any attack of ART by its class, art:CLASS. "
            "Parameters go in brackets. Repeat for more.",
            show_default="paper",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="NAME|PATH", help="Images to test on.", show_default="the checkpoint's"),
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            "--images",
            parser=parse_images,
            metavar="N|all",
            help="The first N of a fixed permutation of the test set.",
        ),
    ] = "1000",  # type: ignore[assignment]  # typer parses defaults too
    eps: Annotated[float | None, eps_option("the checkpoint's")] = None,
    eot: Annotated[
        int | None,
        typer.Option("--eot", min=1, metavar="N", help="Draws of a gradient.", show_default="1; random models 20"),
    ] = None,
    votes: Annotated[
        int | None,
        typer.Option("--votes", min=1, metavar="N", help="Draws of a prediction.", show_default="1; random models 20"),
    ] = None,
    pgd_steps: Annotated[int, typer.Option("--pgd-steps", min=1, metavar="N", help="Gradient steps of PGD.")] = 50,
    spsa_steps: Annotated[int, typer.Option("--spsa-steps", min=1, metavar="N", help="Steps of SPSA.")] = 100,
    spsa_samples: Annotated[
        int,
        typer.Option("--spsa-samples", min=2, metavar="N", help="Evaluations a step of SPSA, even."),
    ] = 128,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    format: Annotated[Format, typer.Option("--format", help="How the answer is written.")] = Format.table,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the answer there.", show_default="stdout"),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run-dir",
            metavar="DIR",
            help="Folder of the run: finished parts are kept there, and the same command goes on from them.",
            show_default="one under runs/ for each question",
        ),
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option("--fail-under", min=0, max=1, metavar="X", help="Exit with 1 if the worst case is below X."),
    ] = None,
) -> None:
    """Tell how robust a model really is.

    Every image is attacked with each attack, and what is found counts only
    after it was verified with fresh noise. The effective robustness (Min) is
    the lowest accuracy over the attacks; the worst case is the share of images
    that survive them all.
    """
    from advtool import checkpoints, data, models
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.evaluation import provenance
    from advtool.evaluation.evaluator import evaluate as run_evaluation
    from advtool.evaluation.run import default_folder
    from advtool.results import DatasetInfo

    if output is not None:
        checkpoints.check_writable(output)
    place = resolve_device(device)
    path = checkpoint or checkpoints.newest(CHECKPOINTS)
    header = checkpoints.read_header(path)
    model = models.load_checkpoint(path)
    try:
        test = data.load(dataset or header.dataset, "test", data_dir)
    except InputError as error:
        hint = "" if dataset else " (the checkpoint's data set; --dataset names another)"
        raise InputError(f"{error}{hint}") from None
    split = data.first_images(test, None if images == ALL else images)
    models.check_images(header.architecture, split.shape)
    asked: dict[str, Any] = {
        "eps": header.threat_model.eps if eps is None else eps,
        "attacks": attack or ["paper"],
        "seed": seed,
        "eot": eot,
        "votes": votes,
        "pgd_steps": pgd_steps,
        "spsa_steps": spsa_steps,
        "spsa_samples": spsa_samples,
    }
    origin = checkpoints.describe(path, header)
    question = {
        **asked,
        "checkpoint": origin["sha256"],
        "images": provenance.tensors(split.images, split.labels),
        "device": place.type,
        "code": provenance.code(),
    }
    folder = run_dir or default_folder(RUNS, path.stem, question)
    try:
        with EvaluationProgress(f"evaluating {'' if checkpoint else 'the newest checkpoint, '}{path}") as progress:
            result = run_evaluation(
                model,
                data.to_float(split.images),
                split.labels,
                **asked,
                device=place,
                run_dir=folder,
                dataset=DatasetInfo(name=split.name, split="test", images=len(split)),
                checkpoint=origin,
                observer=progress,
            )
    except KeyboardInterrupt:
        say(f"what was finished is kept in {folder}: the same command goes on from there")
        raise
    _answer(result, format, output)
    if fail_under is not None and result.worst_case.accuracy < fail_under:
        say(f"the worst case, {result.worst_case.accuracy:.4f}, is below --fail-under {fail_under:g}")
        raise typer.Exit(1)


def _answer(result: Evaluation, format: Format, output: Path | None) -> None:
    from advtool import checkpoints
    from advtool.report import FORMATS
    from advtool.report.table import renderable

    if output is not None:
        checkpoints.write_atomically(output, FORMATS[format](result).encode())
        say(f"written to {output}")
    elif format is Format.table and sys.stdout.isatty():
        Console(highlight=False).print(renderable(result))
    else:
        typer.echo(FORMATS[format](result), nl=False)
