"""``advtool sweep``: draws accuracy as a curve, over eps or over EOT samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtool import arguments
from advtool.cli.answer import FormatName, Output, answer, plot_option
from advtool.cli.app import App
from advtool.cli.gathering import gathering
from advtool.cli.options import Device, DeviceName, resolve_device
from advtool.cli.subject_options import SUBJECT_OPTIONS, RunDir, SubjectOptions, chosen, settings_options
from advtool.errors import InputError

if TYPE_CHECKING:
    from advtool.results import PerImageSweep, Sweep

EPS_EPILOG = """
[bold]Examples[/bold]

From clean to twice the checkpoint's eps, under fgsm and pgd:  [cyan]advtool sweep eps[/cyan]

The smallest eps that breaks each image:  [cyan]advtool sweep eps --per-image[/cyan]

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

app = App(help="Draw accuracy as a curve, over eps or over EOT samples.")

Plot = Annotated[Path | None, plot_option("curves")]


def parse_radii(text: str) -> list[float]:
    """Read ``0,0.05,8/255``: values of eps in [0, 1], at least one of them above 0.

    Raises:
        InputError: a part is no number, or out of range, or all are 0.
    """
    radii = [arguments.fraction("--eps", part.strip()) for part in text.split(",")]
    for radius in radii:
        if not 0 <= radius <= 1:
            raise InputError(f"--eps '{text}': {radius:g} is outside [0, 1]; eps is a fraction of the pixel range")
    if not any(radii):
        raise InputError(f"--eps '{text}': name at least one eps above 0, e.g. 0,0.1,0.2")
    return radii


def parse_draws(text: str) -> list[int]:
    """Read ``1,10,100``: at least two counts of EOT samples.

    Raises:
        InputError: a part is no integer from 1 to ``LARGEST_COUNT``, or there is one count alone.
    """
    counts = [arguments.written_count(part.strip()) or 0 for part in text.split(",")]
    if not all(1 <= count <= arguments.LARGEST_COUNT for count in counts):
        raise InputError(
            f"--eot-draws {arguments.shown(text)}: write integers from 1 to {arguments.LARGEST_COUNT}, separated by "
            "commas, e.g. 1,10,100"
        )
    if len(set(counts)) < 2:
        raise InputError(f"--eot-draws '{text}': name at least two counts, e.g. 1,10,100")
    return counts


@app.command("eps", epilog=EPS_EPILOG)
@gathering("subject", SUBJECT_OPTIONS, SubjectOptions.of)
@gathering("settings", settings_options("eps", attacks="fgsm and pgd"), chosen)
def sweep_eps(
    *,
    subject: SubjectOptions,
    eps: Annotated[
        str | None,
        typer.Option(
            "--eps",
            metavar="E,E,...",
            help="Radii, as fractions of the pixel range, e.g. 0,0.1,8/255; 0 gives the clean accuracy.",
            show_default="nine radii from 0 to twice the checkpoint's eps",
        ),
    ] = None,
    per_image: Annotated[
        bool,
        typer.Option(
            "--per-image",
            help="Find the smallest eps that breaks each image: median, quantiles, curve and a list. The default "
            "attack is then 'nearest', and nothing is searched beyond the largest --eps.",
        ),
    ] = False,
    settings: dict[str, Any],
    device: Device = DeviceName.auto,
    format: FormatName = "table",
    output: Output = None,
    run_dir: RunDir = None,
    plot: Plot = None,
) -> None:
    """Draw robust accuracy against eps: a curve for each attack, and the worst case.

    Each eps has a run of its own, in the folder of the sweep. Finished runs are
    not computed again, even if you ask for more values later. You are told if an
    accuracy rises with eps: the attack fails there.
    """
    radii = None if eps is None else parse_radii(eps)
    subject.models.check()
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.studies.smallest_eps import smallest_eps
    from advtool.studies.sweep import eps_grid
    from advtool.studies.sweep import sweep_eps as curves

    place = resolve_device(device)
    ours = subject.open()
    if per_image:
        greeting, name = "searching the smallest eps of each image", "-smallest-eps"
        study: partial[Any] = partial(smallest_eps, eps=radii)
        asked = {**settings, "eps": radii and max(radii)}
    else:
        greeting, name = "sweeping over eps", "-sweep-eps"
        study, asked = partial(curves, eps=radii or eps_grid(ours.eps)), settings
    folder = run_dir or ours.run_folder(asked, place, name)
    with EvaluationProgress(f"{greeting}, {ours.title}", folder, ours.opened.notes) as progress:
        result = study(
            **ours.arguments(),
            **settings,
            device=place,
            run_dir=folder,
            refuse_chance=ours.refuse_chance,
            observer=progress,
        )
    _show(result, format, output, plot)


@app.command("eot", epilog=EOT_EPILOG)
@gathering("subject", SUBJECT_OPTIONS, SubjectOptions.of)
@gathering("settings", settings_options("eot", attacks="pgd"), chosen)
def sweep_eot(
    *,
    subject: SubjectOptions,
    eot_draws: Annotated[
        str,
        typer.Option("--eot-draws", metavar="N,N,...", help="Counts of draws that a gradient averages over."),
    ] = "1,2,5,10,20,50,100",
    settings: dict[str, Any],
    device: Device = DeviceName.auto,
    format: FormatName = "table",
    output: Output = None,
    run_dir: RunDir = None,
    plot: Plot = None,
) -> None:
    """Draw a random model's accuracy against the EOT samples of a gradient, and propose how many are enough.

    Votes are the same at every count. A count is enough if no larger count
    lowers the accuracy by 3 points or more, with paired 95 % confidence. If the
    images are too few to show that, no count is proposed.
    """
    draws = parse_draws(eot_draws)
    subject.models.check()
    from advtool.cli.evaluation_progress import EvaluationProgress
    from advtool.studies import sweep

    place = resolve_device(device)
    ours = subject.open()
    settings = {"eps": ours.eps, **settings}
    folder = run_dir or ours.run_folder(settings, place, "-sweep-eot")
    with EvaluationProgress(f"sweeping over EOT samples, {ours.title}", folder, ours.opened.notes) as progress:
        result = sweep.sweep_eot(
            **ours.arguments(),
            **settings,
            draws=draws,
            device=place,
            run_dir=folder,
            refuse_chance=ours.refuse_chance,
            observer=progress,
        )
    _show(result, format, output, plot)


def _show(result: Sweep | PerImageSweep, format: str, output: Path | None, plot: Path | None) -> None:
    from advtool.report import plots, smallest_eps_plot, sweep_plot
    from advtool.results import PerImageSweep

    answer(result, format, output)
    if plot is not None:
        if isinstance(result, PerImageSweep):
            plots.save(smallest_eps_plot.figure(result), plot)
        else:
            plots.save(sweep_plot.figure(result), plot)
