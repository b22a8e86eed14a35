"""The training loop: the one place where weights change."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from advtool import seeding
from advtool.data import Split, to_float
from advtool.errors import InputError
from advtool.training.examples import EXAMPLES
from advtool.training.observer import Observer
from advtool.training.recipes import Recipe
from advtool.training.validation import Figures, accuracies


def epochs(
    model: nn.Module,
    recipe: Recipe,
    training: Split,
    validation: Split,
    *,
    eps: float,
    seed: int,
    observer: Observer,
) -> Iterator[Figures]:
    """Train ``model`` in place, and stop after every epoch to yield its figures.

    The model and both splits lie on one device. Every epoch draws from streams of its own, global ones
    included (dropout), so the weights depend on the seed, the recipe and the images alone.

    Raises:
        InputError: the loss is NaN or infinite.
    """
    device = training.images.device
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        for_training, for_validation = (seeding.generator(device, seed, use, epoch) for use in ("train", "validate"))
        with seeding.global_streams(device, seed, "epoch", epoch):
            loss_of = partial(training_loss, model, recipe, eps=eps, generator=for_training)
            loss = _one_epoch(model, optimizer, loss_of, _batches(training, recipe.batch_size, seed, epoch), observer)
            _check_finite(loss, epoch, recipe.learning_rate)
            clean, adversarial = accuracies(
                model, validation, EXAMPLES[recipe.validation], eps=eps, generator=for_validation
            )
        seconds = time.perf_counter() - start
        yield Figures(epoch=epoch, loss=loss, clean=clean, adversarial=adversarial, seconds=seconds)


def training_loss(
    model: nn.Module, recipe: Recipe, x: Tensor, y: Tensor, *, eps: float, generator: torch.Generator
) -> Tensor:
    """``w L(F(x), y) + (1 - w) L(F(x'), y)``: L the mean cross entropy, w the recipe's ``clean_weight``.

    ``x`` is float32 (N, C, H, W) in [0, 1], ``y`` int64 (N,); the loss is a scalar with a graph to the
    parameters. Clean and adversarial images pass in one batch, so that batch norm counts every step once.
    """
    w = recipe.clean_weight
    if w == 1:
        return cross_entropy(model(x), y)
    x_adv = EXAMPLES[recipe.examples](model, x, y, eps=eps, generator=generator)
    if w == 0:
        return cross_entropy(model(x_adv), y)
    clean, adversarial = model(torch.cat([x, x_adv])).chunk(2)
    return w * cross_entropy(clean, y) + (1 - w) * cross_entropy(adversarial, y)


def batches_per_epoch(images: int, batch_size: int) -> int:
    """No image is left out: the last batch may be smaller."""
    return math.ceil(images / batch_size)


def _one_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    observer: Observer,
) -> float:
    """One optimiser step a batch; the mean loss of the epoch's images."""
    total, images = torch.zeros(()), 0
    model.train()
    for x, y in batches:
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total = total.to(loss.device) + len(x) * loss.detach()
        images += len(x)
        observer.batch(total / images)
    return total.item() / images


def _batches(split: Split, size: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All images once, in the epoch's order: float32 (n, C, H, W) and int64 (n,)."""
    # Drawn on the CPU, so that a GPU sees the images in the same order.
    order = torch.randperm(len(split), generator=seeding.generator(torch.device("cpu"), seed, "order", epoch))
    for index in order.to(split.images.device).split(size):
        yield to_float(split.images[index]), split.labels[index]


def _check_finite(loss: float, epoch: int, learning_rate: float) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"the training diverged: the loss became {loss} in epoch {epoch}; "
            f"give a --learning-rate below {learning_rate:g}"
        )
