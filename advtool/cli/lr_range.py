"""``advtool lr-range``: which learning rates suit a recipe?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from advtool.cli.answer import FormatName, answer, plot_option
from advtool.cli.gathering import gathering
from advtool.cli.options import DataDir, DatasetName, Device, DeviceName, Eps, Seed, resolve_device
from advtool.cli.recipe_options import SETTINGS, Recipe, asked
from advtool.cli.train import Limit
from advtool.training.settings import OF_WHOLE_TRAININGS

EPILOG = """
[bold]Examples[/bold]

Bounds for NFGSM on MNIST:  [cyan]advtool lr-range nfgsm --dataset mnist[/cyan]

Look at the curve:  [cyan]advtool lr-range nfgsm --plot curve.svg[/cyan]

In a pipeline:  [cyan]advtool lr-range clean --format json | jq .learning_rate[/cyan]
"""


@gathering("settings", {name: option for name, option in SETTINGS.items() if name not in OF_WHOLE_TRAININGS}, asked)
def lr_range(
    recipe: Recipe,
    *,
    dataset: DatasetName = "digits",
    eps: Eps = None,
    limit: Limit = None,
    lowest: Annotated[float, typer.Option("--from", help="Learning rate of the first batch.")] = 1e-6,
    highest: Annotated[float, typer.Option("--to", help="Learning rate of the last batch.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Number of batches; each multiplies the rate by the same factor.")] = 300,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    format: FormatName = "table",
    plot: Annotated[Path | None, plot_option("curve")] = None,
    settings: dict[str, Any],
) -> None:
    """Propose the bounds of a cyclic learning rate with a range test (Smith 2017).

    A new model trains for some hundred batches while the learning rate rises, and the loss falls.
    At the lower bound a tenth of the loss's first descent is done, at the upper bound nine tenths.
    Give them to [bold]advtool train[/] as --base-learning-rate and --learning-rate. The recipes clean,
    adv, both, apb and ibp have no cyclic learning rate: they take the upper bound alone. The test
    of ibp is on clean images, as its training begins.
    """
    from advtool import training
    from advtool.report import lr_range as report
    from advtool.report import plots

    result = training.lr_range(
        dataset,
        recipe,
        eps=eps,
        seed=seed,
        device=resolve_device(device),
        limit=limit,
        data_dir=data_dir,
        lowest=lowest,
        highest=highest,
        steps=steps,
        **settings,
    )
    answer(result, format)
    if plot is not None:
        plots.save(report.figure(result), plot)
