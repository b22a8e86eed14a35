"""``advtool sweep``: accuracy as a curve, over eps or over EOT samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool.cli.answer import Format, FormatName, Output, answer
from advtool.cli.group import Group
from advtool.cli.options import DataDir, Device, DeviceName, Seed, eps_option, parse_fraction, resolve_device
from advtool.cli.subject_options import (
    CheckpointFile,
    Eot,
    Images,
    PgdSteps,
    RunDir,
    SpsaSamples,
    SpsaSteps,
    TestSet,
    Votes,
    attack_option,
    open_subject,
)
from advtool.errors import InputError

if TYPE_CHECKING:
    from advtool.results import Sweep

EPS_EPILOG = """
[bold]Examples[/bold]

From clean to twice the checkpoint's eps, under fgsm and pgd:  [cyan]advtool sweep eps[/cyan]

With a plot:  [cyan]advtool sweep eps --eps "0,2/255,4/255,8/255,16/255" --plot curve.svg[/cyan]

In a pipeline:
[cyan]advtool sweep eps --format json | jq '.worst_case\\[] | \\[.value, .accuracy]'[/cyan]
"""
EOT_EPILOG = """
[bold]Examples[/bold]

How many draws does PGD need against this model?
[cyan]advtool train nfgsm --pnil --output noisy.safetensors[/cyan]
[cyan]advtool sweep eot --checkpoint noisy.safetensors --plot draws.png[/cyan]

The answer alone:  [cyan]advtool sweep eot --format json | jq '.curves\\[0].enough'[/cyan]
"""

app = typer.Typer(cls=Group, no_args_is_help=True, help="Draw accuracy as a curve, over eps or over EOT samples.")

Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw the curves (.png, .svg or .pdf).", show_default="no plot"),
]


def parse_radii(text: str) -> list[float]:
    """``0,0.05,8/255``: values of eps in [0, 1].

    Raises:
        InputError: one of them is no number or out of range.
    """
    radii = [parse_fraction("--eps", part.strip()) for part in text.split(",")]
    for radius in radii:
        if not 0 <= radius <= 1:
            raise InputError(f"--eps '{text}': {radius:g} is outside [0, 1]; eps is a fraction of the pixel range")
    return radii


def parse_draws(text: str) -> list[int]:
    """``1,10,100``: counts of EOT samples.

    Raises:
        InputError: one of them is no integer of at least 1.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise InputError(f"--eot-draws '{text}': write integers of at least 1, separated by commas, e.g. 1,10,100")
    return [int(part) for part in parts]


@app.command("eps", epilog=EPS_EPILOG)
def sweep_eps(
    checkpoint: CheckpointFile = None,
    attack: Annotated[list[str] | None, attack_option("fgsm and pgd")] = None,
    eps: Annotated[
        str | None,
        typer.Option(
            "--eps",
            metavar="E,E,...",
            help="Radii, fractions of the pixel range; '8/255' works too, and 0 is the clean accuracy.",
            show_default="nine from 0 to twice the checkpoint's",
        ),
    ] = None,
    dataset: TestSet = None,
    images: Images = "1000",  # type: ignore[assignment]  # typer parses defaults too
    eot: Eot = None,
    votes: Votes = None,
    pgd_steps: PgdSteps = 50,
    spsa_steps: SpsaSteps = 100,
    spsa_samples: SpsaSamples = 128,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    format: FormatName = Format.table,
    output: Output = None,
    run_dir: RunDir = None,
    plot: Plot = None,
) -> None:
    """Draw robust accuracy against eps: a curve for each attack, and the worst case.

    Each eps is a run of its own, in the folder of the sweep. What is finished
    is not computed again, also when more values are asked for later. An accuracy
    that rises with eps is told: the attack fails there.
    """
    radii = None if eps is None else parse_radii(eps)
    _check_files(output, plot)
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.evaluation import sweep

    place = resolve_device(device)
    subject = open_subject(checkpoint, dataset, images, data_dir)
    settings: dict[str, Any] = {
        "attacks": attack or ["fgsm", "pgd"],
        "seed": seed,
        "eot": eot,
        "votes": votes,
        "pgd_steps": pgd_steps,
        "spsa_steps": spsa_steps,
        "spsa_samples": spsa_samples,
    }
    folder = run_dir or subject.run_folder(settings, place, "-sweep-eps")
    with EvaluationProgress(f"sweeping over eps, {subject.title}", folder) as progress:
        result = sweep.sweep_eps(
            **subject.arguments(),
            **settings,
            eps=radii or sweep.eps_grid(subject.header.threat_model.eps),
            device=place,
            run_dir=folder,
            observer=progress,
        )
    _show(result, format, output, plot)


@app.command("eot", epilog=EOT_EPILOG)
def sweep_eot(
    checkpoint: CheckpointFile = None,
    attack: Annotated[list[str] | None, attack_option("pgd")] = None,
    eot_draws: Annotated[
        str,
        typer.Option("--eot-draws", metavar="N,N,...", help="Draws that a gradient averages over."),
    ] = "1,2,5,10,20,50,100",
    eps: Annotated[float | None, eps_option("the checkpoint's")] = None,
    dataset: TestSet = None,
    images: Images = "1000",  # type: ignore[assignment]  # typer parses defaults too
    votes: Votes = None,
    pgd_steps: PgdSteps = 50,
    spsa_steps: SpsaSteps = 100,
    spsa_samples: SpsaSamples = 128,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    format: FormatName = Format.table,
    output: Output = None,
    run_dir: RunDir = None,
    plot: Plot = None,
) -> None:
    """Draw a random model's accuracy against the EOT samples of a gradient, and propose how many are enough.

    Votes are the same at every count. A count is enough if no larger one lowers
    the accuracy by 3 points or more: the paired 95 % interval of the fall stays
    under that. With few images nothing can be shown, and none is proposed.
    """
    draws = parse_draws(eot_draws)
    _check_files(output, plot)
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.evaluation import sweep

    place = resolve_device(device)
    subject = open_subject(checkpoint, dataset, images, data_dir)
    settings: dict[str, Any] = {
        "attacks": attack or ["pgd"],
        "eps": subject.header.threat_model.eps if eps is None else eps,
        "seed": seed,
        "votes": votes,
        "pgd_steps": pgd_steps,
        "spsa_steps": spsa_steps,
        "spsa_samples": spsa_samples,
    }
    folder = run_dir or subject.run_folder(settings, place, "-sweep-eot")
    with EvaluationProgress(f"sweeping over EOT samples, {subject.title}", folder) as progress:
        result = sweep.sweep_eot(
            **subject.arguments(), **settings, draws=draws, device=place, run_dir=folder, observer=progress
        )
    _show(result, format, output, plot)


def _check_files(output: Path | None, plot: Path | None) -> None:
    """Before hours of work: can the answer and the plot be written?"""
    from advtool import checkpoints
    from advtool.report import plots

    if output is not None:
        checkpoints.check_writable(output)
    if plot is not None:
        plots.check(plot)


def _show(result: Sweep, format: Format, output: Path | None, plot: Path | None) -> None:
    from advtool.report import SWEEP_FORMATS, sweep, sweep_plot

    if plot is not None:
        sweep_plot.draw(plot, result)
    answer(result, format, output, formats=SWEEP_FORMATS, renderable=sweep.renderable)
