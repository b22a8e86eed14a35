"""The training loop: every pass over the images, and what is measured after it."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool import seeding
from advtool.compute.precision import autocast
from advtool.data import Split, to_float
from advtool.errors import InputError
from advtool.threat import ThreatModel
from advtool.training.examples import craft
from advtool.training.fixed import FixedExamples
from advtool.training.history import Figures
from advtool.training.observer import Observer
from advtool.training.recipes import Recipe
from advtool.training.schedule import Updates, schedule_of
from advtool.training.validation import measure


class Batch(NamedTuple):
    """Images float32 (N, C, H, W) in [0, 1], labels int64 (N,), and the examples made beforehand, if any."""

    x: Tensor
    y: Tensor
    fixed: Tensor | None = None


def epochs(
    model: nn.Module,
    recipe: Recipe,
    training: Split,
    validation: Split,
    *,
    threat_model: ThreatModel,
    seed: int,
    fixed: FixedExamples | None = None,
    observer: Observer,
) -> Iterator[Figures]:
    """Train ``model`` in place, and stop after every epoch to yield its figures.

    The model, both splits and their ``fixed`` examples lie on one device. Every epoch draws from streams of its
    own, global ones included (dropout, noise layers), so the weights depend on the seed, the recipe and the
    images alone. The noise of the validation is the same in every epoch, so that epochs can be compared.

    Raises:
        InputError: the loss is NaN or infinite.
    """
    device = training.images.device
    on_training, on_validation = fixed or (None, None)
    steps = recipe.epochs * batches_per_epoch(len(training), recipe.batch_size)
    updates = Updates(model, recipe, schedule_of(recipe, steps))
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        with seeding.global_streams(device, seed, "epoch", epoch):
            losses = train_on(
                batches(training, recipe.batch_size, seed, epoch, on_training),
                model,
                recipe,
                updates,
                threat_model=threat_model,
                generator=seeding.generator(device, seed, "train", epoch),
            )
            loss = _mean(losses, observer)
        _check_finite(loss, epoch, recipe.learning_rate)
        with seeding.global_streams(device, seed, "validate"):
            generator = seeding.generator(device, seed, "validate")
            measured = measure(
                model, recipe, validation, threat_model=threat_model, generator=generator, fixed=on_validation
            )
        yield Figures(epoch=epoch, loss=loss, seconds=time.perf_counter() - start, **asdict(measured))


def train_on(
    batches: Iterable[Batch],
    model: nn.Module,
    recipe: Recipe,
    updates: Updates,
    *,
    threat_model: ThreatModel,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, int]]:
    """One update a batch; each loss, a detached scalar, with the number of its images."""
    model.train()
    for batch in batches:
        with autocast(recipe.precision, batch.x.device):
            loss = training_loss(model, recipe, batch, threat_model=threat_model, generator=generator)
        updates.step(loss)
        yield loss.detach(), len(batch.x)


def training_loss(
    model: nn.Module, recipe: Recipe, batch: Batch, *, threat_model: ThreatModel, generator: torch.Generator
) -> Tensor:
    """``w L(F(x), y) + (1 - w) L(F(x'), y)``: L the mean cross entropy, w the recipe's ``clean_weight``.

    The examples x' are the batch's fixed ones, or made now as the recipe says, ``generator`` drawing their
    noise. The loss is a scalar with a graph to the parameters. Clean and adversarial images pass in one
    batch, so that batch norm counts every step once.
    """
    x, y, fixed = batch
    w = recipe.clean_weight
    if w == 1:
        return cross_entropy(model(x), y)
    x_adv = fixed
    if x_adv is None:
        x_adv = craft(
            model,
            x,
            y,
            recipe.examples,
            threat_model=threat_model,
            generator=generator,
            eot=recipe.eot,
            **recipe.example_settings,
        )
    if w == 0:
        return cross_entropy(model(x_adv), y)
    clean, adversarial = model(torch.cat([x, x_adv])).chunk(2)
    return w * cross_entropy(clean, y) + (1 - w) * cross_entropy(adversarial, y)


def batches_per_epoch(images: int, batch_size: int) -> int:
    """No image is left out: the last batch may be smaller."""
    return math.ceil(images / batch_size)


def batches(split: Split, size: int, seed: int, epoch: int, fixed: Tensor | None = None) -> Iterator[Batch]:
    """All images once, in the epoch's order, with their ``fixed`` examples."""
    # Drawn on the CPU, so that a GPU sees the images in the same order.
    order = torch.randperm(len(split), generator=seeding.generator(torch.device("cpu"), seed, "order", epoch))
    for index in order.to(split.images.device).split(size):
        yield Batch(to_float(split.images[index]), split.labels[index], None if fixed is None else fixed[index])


def _mean(losses: Iterable[tuple[Tensor, int]], observer: Observer) -> float:
    """The mean loss of an epoch's images; the observer sees it grow."""
    total, images = torch.zeros(()), 0
    for loss, count in losses:
        total = total.to(loss.device) + count * loss
        images += count
        observer.batch(total / images)
    return total.item() / images


def _check_finite(loss: float, epoch: int, learning_rate: float) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"the training diverged: the loss became {loss} in epoch {epoch}; "
            f"give a --learning-rate below {learning_rate:g}"
        )
