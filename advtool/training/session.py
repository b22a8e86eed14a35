"""One training from the images to the checkpoint: defaults, random streams, the card."""

import os
import platform
from pathlib import Path

import torch
from torch import nn

import advtool
from advtool import checkpoints, models, seeding
from advtool.checkpoints import Architecture, Header
from advtool.data import Split, default_eps, first_images, load, train_validation
from advtool.errors import InputError
from advtool.results import ThreatModel
from advtool.training import loop
from advtool.training.keeper import Keeper, Trained
from advtool.training.observer import Observer
from advtool.training.recipes import recipe_for


def train(
    data: Split | str | Path,
    recipe: str,
    *,
    arch: str | None = None,
    eps: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    limit: int | None = None,
    data_dir: Path | None = None,
    output: Path | None = None,
    observer: Observer | None = None,
) -> Trained:
    """Train a classifier with a recipe, and keep its best epoch by the recipe's rule.

    Equal arguments give equal weights, bit for bit, on the CPU at one thread count and torch build.

    Args:
        data: training images, or what :func:`advtool.data.load` takes. A fixed validation set is carved from
            them; the test images are not read.
        recipe: a name in ``RECIPES``.
        arch: a name in ``advtool.models.ARCHITECTURES``. None, also below: the recipe's or data set's own.
        eps: the attacker's radius in linf, a fraction of the pixel range in (0, 1].
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: Adam's.
        seed: of the initial weights, the order of the images and all noise.
        device: where to train.
        limit: train on that many images only, taken after the validation set; the same ones for every seed.
        data_dir: the cache of data sets.
        output: where to write the checkpoint; an existing file is replaced. Until training ends, its best
            epoch so far lies beside it as ``NAME.partial.safetensors``; after an interrupt it stays there.
        observer: is told of every batch and epoch.

    Raises:
        InputError: an argument is unknown or out of range, the data cannot be read, the loss diverges, or
            ``output`` cannot be written.
    """
    observer = observer or Observer()
    name = data.name if isinstance(data, Split) else os.fspath(data)
    settings = recipe_for(name, recipe, arch=arch, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    threat_model = ThreatModel(eps=_checked_eps(default_eps(name) if eps is None else eps))
    if output is not None:
        checkpoints.check_writable(output)
    split = data if isinstance(data, Split) else load(name, "train", data_dir)
    training, validation = _carve(split, limit)
    header = Header(
        architecture=Architecture(name=settings.arch, input_shape=split.shape, classes=len(split.classes)),
        dataset=name,
        recipe=settings.to_dict() | {"limit": limit, "train_images": len(training)},
        threat_model=threat_model,
        seed=seed,
        date=checkpoints.now(),
        versions={
            "advtool": advtool.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        metrics={"validation_images": len(validation)},
    )
    model = _initialise(header.architecture, seed).to(device)
    keeper = Keeper(header, settings.keep_by, output, observer)
    observer.started(header, loop.batches_per_epoch(len(training), settings.batch_size))
    for figures in loop.epochs(
        model,
        settings,
        training.to(device),
        validation.to(device),
        eps=threat_model.eps,
        seed=seed,
        observer=observer,
    ):
        keeper.offer(model, figures)
    return keeper.finish(model)


def default_output(dataset: str | Path, arch: str, recipe: str, seed: int) -> Path:
    """``checkpoints/DATASET-ARCH-RECIPE-sSEED.safetensors`` in the current folder."""
    name = Path(dataset).resolve().name.removesuffix(".npz")
    return Path("checkpoints") / f"{name}-{arch}-{recipe}-s{seed}{checkpoints.SUFFIX}"


def _carve(split: Split, limit: int | None) -> tuple[Split, Split]:
    training, validation = train_validation(split)
    if limit is None:
        return training, validation
    if not 1 <= limit <= len(training):
        raise InputError(
            f"--limit {limit}: it must lie in 1..{len(training)}, the training images of '{split.name}' "
            f"without the {len(validation)} for validation"
        )
    return first_images(training, limit), validation


def _initialise(architecture: Architecture, seed: int) -> nn.Module:
    with seeding.global_streams(torch.device("cpu"), seed, "init"):
        return models.build(architecture)


def _checked_eps(eps: float) -> float:
    if not 0 < eps <= 1:
        raise InputError(f"--eps {eps}: it must lie in (0, 1], a fraction of the pixel range")
    return eps
