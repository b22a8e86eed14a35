"""``advtool show``: prints the card of a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from advtool.cli.answer import FormatName, answer, plot_option
from advtool.cli.options import DataDir
from advtool.errors import InputError

EPILOG = """
[bold]Examples[/bold]

How was it trained?  [cyan]advtool show checkpoints/digits-cnn-both-s0.safetensors[/cyan]

What its noise layer learnt:  [cyan]advtool show noisy.safetensors --plot noise.png[/cyan]

In a pipeline:  [cyan]advtool show noisy.safetensors --format json | jq .metrics.epoch[/cyan]
"""


def show(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint that 'advtool train' wrote.")],
    format: FormatName = "table",
    plot: Annotated[Path | None, plot_option("noise that a layer (--pnil) has learnt, on the first test image")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print the card of a checkpoint: its model, its training, and figures.

    Training measured these figures on validation images.
    [bold]advtool eval[/] tells how robust the model is.
    """
    from advtool.checkpoints import read_header
    from advtool.report.card import Card

    header = read_header(checkpoint)
    if plot is not None:
        _draw_noise(checkpoint, plot, data_dir)
    answer(Card(checkpoint.name, header), format)


def _draw_noise(checkpoint: Path, plot: Path, data_dir: Path | None) -> None:
    import torch

    from advtool import checkpoints, models, seeding
    from advtool.data import load, to_float
    from advtool.models.noise import input_pnil, maps
    from advtool.report import plots, pnil_plot

    header, tensors = checkpoints.read(checkpoint)
    layer = input_pnil(models.from_checkpoint(header, tensors))
    if layer is None:
        raise InputError(
            f"--plot: the model of '{checkpoint}' has no noise layer; 'advtool train nfgsm --pnil' makes one"
        )
    image = to_float(load(header.dataset, "test", data_dir).images[0])
    with seeding.global_streams(torch.device("cpu"), header.seed, "show"):
        drawn = maps(layer, image)
    plots.save(pnil_plot.figure(**drawn._asdict()), plot)
