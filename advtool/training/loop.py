"""The training loop: every pass over the images, and the measurements after it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool import seeding
from advtool.compute.layers import LayerGraph
from advtool.compute.precision import autocast
from advtool.data import Split, to_float
from advtool.errors import InputError
from advtool.ranks import ALONE, Ranks
from advtool.results import Figures
from advtool.threat import ThreatModel
from advtool.training.bounds import bound_loss
from advtool.training.examples import craft
from advtool.training.fixed import FixedExamples
from advtool.training.observer import Observer
from advtool.training.recipes import Recipe
from advtool.training.schedule import Updates, phase_of, schedule_of
from advtool.training.sharing import by_the_first, equalise_buffers, mean_over, shared
from advtool.training.validation import measure


class Diverged(InputError):  # noqa: N818 - it says what happened
    """The loss of a training, a weight or a figure of an epoch is NaN or infinite."""


class Batch(NamedTuple):
    """Images float32 (N, C, H, W) in [0, 1], labels int64 (N,), and fixed examples or None."""

    x: Tensor
    y: Tensor
    fixed: Tensor | None = None


def epochs(
    model: nn.Module,
    recipe: Recipe,
    training: Split,
    validation: Split,
    *,
    updates: Updates,
    after: int = 0,
    threat_model: ThreatModel,
    seed: int,
    fixed: FixedExamples | None = None,
    layers: LayerGraph | None = None,
    ranks: Ranks = ALONE,
    observer: Observer,
) -> Iterator[Figures]:
    """Train ``model`` in place, and yield the figures of every epoch.

    Every epoch has its own random streams, also torch's global one (dropout, noise layers). So the weights depend only
    on the seed, the recipe and the images. The validation draws the same noise in every epoch, so that epochs can be
    compared.

    Args:
        model: on the device of the images.
        recipe: how it is trained.
        training: images to train on.
        validation: images to measure on, on the same device.
        updates: of the model, made by :func:`updates_of`.
        after: how many epochs are done already.
        threat_model: of the examples.
        seed: of all random streams.
        fixed: examples of both splits, on the same device; None: examples are made from the current weights.
        layers: of the model, for a recipe by bounds.
        ranks: the processes that train together, in one process group; each makes this call.
        observer: hears of every batch.

    Raises:
        Diverged: the loss, a weight after an epoch or a figure of it is NaN or infinite.
    """
    device = training.images.device
    on_training, on_validation = fixed or (None, None)
    objective = shared(Objective(model, recipe, threat_model, layers), ranks)
    validate = partial(
        measure, model, recipe, validation, threat_model=threat_model, fixed=on_validation, layers=layers
    )
    for epoch in range(after + 1, recipe.epochs + 1):
        start = time.perf_counter()
        model.train()
        with seeding.global_streams(device, seed, "epoch", epoch):
            images = batches(training, recipe.batch_size, seed, epoch, on_training)
            losses = train_on(images, objective, updates, generator=seeding.generator(device, seed, "train", epoch))
            loss = _mean(losses, observer, ranks)
        equalise_buffers(model, ranks)
        _check_finite("the loss", math.isfinite(loss), epoch, recipe)
        _check_finite("a weight", _has_finite_tensors(model), epoch, recipe)
        with seeding.global_streams(device, seed, "validate"):
            stream = seeding.generator(device, seed, "validate")
            measured = by_the_first(partial(validate, generator=stream), ranks)
        figures = asdict(measured)
        for name, value in figures.items():
            _check_finite(f"the {name.replace('_', ' ')}", value is None or math.isfinite(value), epoch, recipe)
        rate, seconds = updates.learning_rate, time.perf_counter() - start
        yield Figures(epoch=epoch, loss=loss, learning_rate=rate, seconds=seconds, **figures)


def updates_of(model: nn.Module, recipe: Recipe, images: int) -> Updates:
    """The updates of a whole training of ``model`` on that many images."""
    steps = recipe.epochs * batches_per_epoch(images, recipe.batch_size)
    return Updates(model, recipe, schedule_of(recipe, steps), steps)


class Objective(nn.Module):
    """The loss of a batch, which trains a model.

    Args:
        model: on the device of the batches.
        recipe: how it is trained.
        threat_model: of the examples.
        layers: of the model, for a recipe by bounds: the loss is :func:`bound_loss`. None: it is :func:`training_loss`.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, threat_model: ThreatModel, layers: LayerGraph | None = None
    ) -> None:
        super().__init__()
        self.model, self._recipe, self._threat_model, self._layers = model, recipe, threat_model, layers

    def forward(self, batch: Batch, generator: torch.Generator, done: float) -> Tensor:
        """A scalar with a graph to the parameters.

        Args:
            batch: images, labels and fixed examples.
            generator: of the examples' noise.
            done: the share of the training's steps that are done.
        """
        with autocast(self._recipe.precision, batch.x.device):
            if self._layers is not None:
                phase = phase_of(self._recipe, self._threat_model.eps, done)
                return bound_loss(self.model, self._layers, batch.x, batch.y, phase, self._threat_model)
            return training_loss(self.model, self._recipe, batch, threat_model=self._threat_model, generator=generator)


def train_on(
    batches: Iterable[Batch], objective: Callable[..., Tensor], updates: Updates, *, generator: torch.Generator
) -> Iterator[tuple[Tensor, int]]:
    """Train on each batch; yield its loss, a detached scalar, and its number of images.

    Args:
        batches: to train on.
        objective: an :class:`Objective` whose model is in training mode, or one that several ranks share.
        updates: of the model.
        generator: of the examples' noise.
    """
    for batch in batches:
        loss = objective(batch, generator, updates.done)
        updates.step(loss)
        yield loss.detach(), len(batch.x)


def training_loss(
    model: nn.Module, recipe: Recipe, batch: Batch, *, threat_model: ThreatModel, generator: torch.Generator
) -> Tensor:
    """``w L(F(x), y) + (1 - w) L(F(x'), y)``: L is the mean cross entropy, w the recipe's ``clean_weight``.

    The examples x' are the fixed ones of the batch. If it has none, they are made now as the recipe says, and
    ``generator`` draws their noise. Clean and adversarial images pass in one batch, so that batch norm counts every
    step once.

    Returns:
        A scalar with a graph to the parameters.
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
    """The number of batches that hold all images; the last batch may be smaller."""
    return math.ceil(images / batch_size)


def batches(split: Split, size: int, seed: int, epoch: int, fixed: Tensor | None = None) -> Iterator[Batch]:
    """Batches of ``size`` images, with their ``fixed`` examples: every image once, in the order of the epoch."""
    # Drawn on the CPU, so that a GPU sees the images in the same order.
    order = torch.randperm(len(split), generator=seeding.generator(torch.device("cpu"), seed, "order", epoch))
    for index in order.to(split.images.device).split(size):
        yield Batch(to_float(split.images[index]), split.labels[index], None if fixed is None else fixed[index])


def _mean(losses: Iterable[tuple[Tensor, int]], observer: Observer, ranks: Ranks) -> float:
    """The mean loss of an epoch's images. The observer hears of every batch, from this rank's part of it."""
    total, images = torch.zeros(()), 0
    for loss, count in losses:
        total = total.to(loss.device) + count * loss
        images += count
        observer.batch(total / images)
    return mean_over(ranks, total).item() / images


def _has_finite_tensors(model: nn.Module) -> bool:
    """A GPU is waited for once."""
    return bool(torch.stack([tensor.isfinite().all() for tensor in model.state_dict().values()]).all())


def _check_finite(what: str, is_finite: bool, epoch: int, recipe: Recipe) -> None:
    if not is_finite:
        raise Diverged(
            f"the training diverged: {what} became NaN or infinite in epoch {epoch}; "
            f"give a --learning-rate below {recipe.learning_rate:g}"
        )
