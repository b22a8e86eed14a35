"""``advtool train``: train a classifier and print the path of its checkpoint."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from advtool.cli.config_file import NAMED_BY_THE_USER
from advtool.cli.gathering import gathering
from advtool.cli.options import DataDir, DatasetName, Device, DeviceName, Eps, Seed, resolve_device
from advtool.cli.recipe_options import SETTINGS, AnyRecipe, asked
from advtool.errors import InputError
from advtool.ranks import Ranks

EPILOG = """[bold]Examples[/]

[cyan]advtool train both[/]: LeNet on the digits that come along, in less than a minute

[cyan]advtool train apb --bias multimodal --dataset mnist[/]: the first paper's method

[cyan]advtool train nfgsm --pnil --dataset mnist[/]: the second paper's method

[cyan]advtool train both --resume net.safetensors[/]: begins, or goes on where it was stopped

[cyan]advtool eval --checkpoint "$(advtool train adv --dataset fashion-mnist --epochs 5 --limit 10000)"[/]"""

Limit = Annotated[int | None, typer.Option(metavar="N", help="Train on N images only.", show_default="all")]


Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FILE",
        help="Go on with the training whose state lies beside this checkpoint, with its own options. If nothing is "
        "there yet and a RECIPE is named, begin it. So one command serves a job that is started again and again.",
    ),
]


@gathering("settings", SETTINGS, asked)
def train(
    recipe: AnyRecipe = None,
    *,
    context: typer.Context,
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
    resume: Resume = None,
    settings: dict[str, Any],
) -> None:
    """Train a classifier, keep its best epoch, and print the checkpoint's path on stdout.

    The best epoch has the highest accuracy under PGD on validation images, a part of the
    training images. A recipe on clean images alone ([bold]clean[/], [bold]apb[/]) keeps the epoch with
    the highest clean accuracy, [bold]ibp[/] that with the highest certified accuracy. [bold]--keep[/]
    chooses another rule. The test images are not used.
    After Ctrl-C the best epoch so far stays beside the output, as NAME.partial.safetensors, and
    [bold]--resume[/] goes on.
    """
    if recipe is None and resume is None:
        raise InputError("name a RECIPE, e.g. 'advtool train both' (--help lists them), or --resume FILE")
    from advtool import training
    from advtool.cli.training_answer import TrainingAnswer
    from advtool.cli.training_progress import TrainingProgress

    ranks = Ranks.of_environment()
    log = [] if log_dir is None else [training.TensorBoard(log_dir)]
    work: Callable[..., training.Trained]
    if resume is not None and (recipe is None or training.is_begun(resume)):
        path = training.find_output(resume)
        work = partial(training.resume, resume, **_given(context), **settings)
    else:
        chosen = training.recipe_for(dataset, str(recipe), **settings)
        path = output or training.default_output(dataset, chosen.arch, chosen.name, seed)
        if resume is not None:
            path = training.new_output(resume, output)
        work = partial(training.train, dataset, chosen.name, eps=eps, seed=seed, limit=limit, output=path, **settings)
    again = {"--device": None if device == "auto" else device.value, "--log-dir": log_dir}
    named = {name: str(value) for name, value in again.items() if value is not None}
    with TrainingProgress(path, named, resumes=resume is not None) as progress:
        observer = training.Observers(progress, *log, TrainingAnswer(path, ranks))
        work(device=resolve_device(device), data_dir=data_dir, ranks=ranks, observer=observer)


def _given(context: typer.Context) -> dict[str, Any]:
    """The arguments of a training, beside its settings, that the command or its file of options names."""
    names = {"recipe": "recipe", "dataset": "data", "eps": "eps", "seed": "seed", "limit": "limit", "output": "output"}
    sources = {name: context.get_parameter_source(name) for name in names}
    named = [name for name, source in sources.items() if source and source.name in NAMED_BY_THE_USER]
    return {names[name]: context.params[name] for name in named}
