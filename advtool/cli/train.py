"""``advtool train``: train a classifier and print the path of its checkpoint."""

from pathlib import Path
from typing import Annotated, Any

import typer

from advtool.cli.gathering import gathering
from advtool.cli.options import DataDir, DatasetName, Device, DeviceName, Eps, Seed, resolve_device
from advtool.cli.recipe_options import SETTINGS, Recipe, asked

EPILOG = """[bold]Examples[/]

[cyan]advtool train both[/]: LeNet on the digits that come along, in less than a minute

[cyan]advtool train apb --bias multimodal --dataset mnist[/]: the first paper's method

[cyan]advtool train nfgsm --pnil --dataset mnist[/]: the second paper's method

[cyan]advtool eval --checkpoint "$(advtool train adv --dataset fashion-mnist --epochs 5 --limit 10000)"[/]"""

Limit = Annotated[int | None, typer.Option(metavar="N", help="Train on N images only.", show_default="all")]


@gathering("settings", SETTINGS, asked)
def train(
    recipe: Recipe,
    *,
    dataset: DatasetName = "digits",
    eps: Eps = None,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    data_dir: DataDir = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the checkpoint goes; an existing file is replaced.",
            show_default="in checkpoints/",
        ),
    ] = None,
    log_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the loss, the learning rate and all accuracies of each epoch for TensorBoard. Give every "
            "training a folder of its own: tensorboard --logdir shows all folders in one plot.",
            show_default="no log",
        ),
    ] = None,
    settings: dict[str, Any],
) -> None:
    """Train a classifier, keep its best epoch, and print the checkpoint's path on stdout.

    The best epoch has the highest accuracy under PGD on validation images, a part of the
    training images. If only clean images train ([bold]clean[/], [bold]apb[/]), it has the highest
    clean accuracy; if bounds train ([bold]ibp[/]), the highest certified accuracy. [bold]--keep[/]
    chooses another rule. The test images are not used.
    After Ctrl-C the best epoch so far stays beside the output, as NAME.partial.safetensors.
    """
    from advtool import training
    from advtool.cli.training_progress import TrainingProgress

    chosen = training.recipe_for(dataset, recipe, **settings)
    path = output or training.default_output(dataset, chosen.arch, recipe, seed)
    log = [] if log_dir is None else [training.TensorBoard(log_dir)]
    with TrainingProgress(path) as progress:
        training.train(
            dataset,
            recipe,
            eps=eps,
            seed=seed,
            device=resolve_device(device),
            limit=limit,
            data_dir=data_dir,
            output=path,
            observer=training.Observers(progress, *log),
            **settings,
        )
    typer.echo(path)
