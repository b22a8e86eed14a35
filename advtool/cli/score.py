"""``advtool score``: do the adversarial examples of a run still fool, this model or another?"""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import Format, FormatName, Output, answer
from advtool.cli.options import Device, DeviceName, resolve_device
from advtool.cli.progress import say
from advtool.errors import InputError

EPILOG = """
[bold]Examples[/bold]

Check a run:
[cyan]advtool eval --save-adversarial --run-dir runs/mine[/cyan]
[cyan]advtool score runs/mine[/cyan]

Do its examples transfer?  [cyan]advtool score runs/mine --checkpoint other.safetensors[/cyan]
"""


def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run with --save-adversarial.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The model to fool.", show_default="the run's own"),
    ] = None,
    votes: Annotated[
        int | None,
        typer.Option(
            "--votes",
            min=1,
            metavar="N",
            help="Draws of a prediction.",
            show_default="the run's; another model's: 1, or 20 if random",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of a random model's fresh draws.")] = 1,
    device: Device = DeviceName.auto,
    format: FormatName = Format.table,
    output: Output = None,
) -> None:
    """Classify a run's saved adversarial examples again.

    In float32 and, for a random model, with fresh draws. On the run's own
    model every example must fool again, or the exit code is 1; if that model is
    random, the share is told. On another model you see what transfers, of the
    images that it gets right.
    """
    from advtool import checkpoints, models
    from advtool.evaluation.finished import read_finished
    from advtool.evaluation.score import score as score_run
    from advtool.report import SCORE_FORMATS
    from advtool.report import score as report

    if output is not None:
        checkpoints.check_writable(output)
    place = resolve_device(device)
    path = checkpoint
    if path is None:
        origin = read_finished(run).result.checkpoint
        if origin is None or not Path(origin["path"]).is_file():
            raise InputError(f"run '{run}': its model is not where it was; name it with --checkpoint")
        path = Path(origin["path"])
    described = checkpoints.describe(path, checkpoints.read_header(path))
    model = models.load_checkpoint(path)
    result = score_run(run, model, seed=seed, votes=votes, device=place, checkpoint=described)
    answer(result, format, output, formats=SCORE_FORMATS, renderable=report.renderable)
    if result.agrees is False:
        say("the score disagrees with the run: not every example fools the run's own model again")
        raise typer.Exit(1)
