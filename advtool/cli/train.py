"""``advtool train``: parse, call :func:`advtool.training.train`, say where the checkpoint is."""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.options import DataDir, DatasetName, Device, DeviceName, Eps, Seed, resolve_device

EPILOG = """[bold]Examples[/]

[cyan]advtool train both[/]: LeNet on the digits that come along, in less than a minute

[cyan]advtool train adv --dataset mnist --eps 0.3 --epochs 5 --limit 10000[/]

[cyan]advtool eval --checkpoint "$(advtool train both --dataset fashion-mnist)"[/]"""


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="clean|adv|both",
            help="clean: clean images only. adv: FGSM examples only, made from the current weights. "
            "both: clean images and FGSM examples, weighed equally.",
        ),
    ],
    *,
    dataset: DatasetName = "digits",
    arch: Annotated[
        str | None,
        typer.Option(help="lenet, cnn or resnet11.", show_default="lenet; resnet11 for cifar10"),
    ] = None,
    eps: Eps = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training images.", show_default="60 digits, 30 cifar10, else 10"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a training step.", show_default="128")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate of Adam.", show_default="0.001")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Train on N images only.", show_default="all")] = None,
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
) -> None:
    """Train a classifier and keep its best epoch; the checkpoint's path is printed on stdout.

    The best epoch is that of the highest adversarial accuracy (for [bold]clean[/]: clean
    accuracy) on a validation set cut from the training images; the test images
    are not touched. After Ctrl-C the best epoch so far stays beside the output,
    as NAME.partial.safetensors.
    """
    from advtool import training
    from advtool.cli.training_progress import TrainingProgress

    chosen = training.recipe_for(dataset, recipe, arch=arch)
    path = output or training.default_output(dataset, chosen.arch, recipe, seed)
    with TrainingProgress() as progress:
        training.train(
            dataset,
            recipe,
            arch=arch,
            eps=eps,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            device=resolve_device(device),
            limit=limit,
            data_dir=data_dir,
            output=path,
            observer=progress,
        )
    typer.echo(path)
