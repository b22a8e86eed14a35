"""The learning-rate range test (Smith 2017, section 3.3): a short training in which the learning rate rises."""

import sys
from collections.abc import Iterator
from itertools import chain, count, islice, takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from advtool import arguments, seeding
from advtool.arguments import LARGEST_COUNT, shown
from advtool.data import Split
from advtool.errors import InputError
from advtool.results import RangeTest
from advtool.settings import option_name, with_settings
from advtool.training.loop import Batch, Objective, batches, train_on
from advtool.training.prepared import Prepared, prepare
from advtool.training.schedule import Updates, exponential
from advtool.training.settings import OF_WHOLE_TRAININGS, Schedule, Settings

FEWEST_STEPS = 20
DESCENT_AT_LOWER_BOUND, DESCENT_AT_UPPER_BOUND = 0.1, 0.9
"""The bounds are the learning rates at which these shares of the loss's descent are done."""
RISE_THAT_ENDS_THE_DESCENT = 0.1
"""The descent is over when the loss is this share of its first value above its lowest. At higher rates a loss may fall
once more by luck, and no training follows it there."""
NEEDED_DESCENT = 0.05
"""A curve gives bounds only if the loss falls by this share of its first value."""
DIVERGED_FACTOR = 4.0
"""The test ends when the loss is this many times the first loss, or NaN."""


@with_settings(Settings, optional=True)
def lr_range(
    data: Split | str | Path,
    recipe: str,
    *,
    eps: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    limit: int | None = None,
    data_dir: Path | None = None,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 300,
    **settings: Any,
) -> RangeTest:
    """Train a new model for some hundred batches while the learning rate rises from ``lowest`` to ``highest``.

    ``steps`` is the number of batches, at least 20. The test ends early when the loss is NaN or four times the first
    loss. :func:`advtool.training.train` explains the other arguments. A training by bounds stays at its beginning.

    Raises:
        InputError: the errors of :func:`advtool.training.train`; the rates or the steps are out of range; a setting is
            of whole trainings alone (``OF_WHOLE_TRAININGS``); or the loss does not fall, so that it gives no bounds.
    """
    for name in OF_WHOLE_TRAININGS & {name for name, value in settings.items() if value is not None}:
        raise InputError(f"{option_name(name)} means nothing in a range test: leave it out")
    low, high = arguments.number(lowest), arguments.number(highest)
    if low is None or high is None or not 0 < low < high:
        raise InputError(
            f"--from {shown(lowest)} --to {shown(highest)}: both must be positive, and --from must be the lower one"
        )
    if (whole := arguments.integer(steps)) is None or not FEWEST_STEPS <= whole <= LARGEST_COUNT:
        raise InputError(
            f"--steps {shown(steps)}: it must be {FEWEST_STEPS} or more, so that the loss can be smoothed, "
            f"and at most {LARGEST_COUNT}"
        )
    prepared = prepare(data, recipe, eps=eps, seed=seed, device=device, limit=limit, data_dir=data_dir, **settings)
    rates, losses = _sweep(prepared, prepared.header.seed, low, high, whole)
    return propose(rates, losses, prepared.recipe.schedule)


def propose(rates: list[float], losses: list[float], schedule: Schedule) -> RangeTest:
    """Read the two bounds from a curve.

    The loss is averaged over a window that reaches a twentieth of the curve to either side. Its descent goes from the
    first value to the lowest before it rises again. At the lower bound a tenth of the descent is done (Smith:
    "accuracy starts to increase"), at the upper bound nine tenths ("slows").

    Args:
        rates: rising learning rates, 20 or more.
        losses: the loss at each rate.
        schedule: of the recipe, for the result.

    Raises:
        InputError: the smoothed loss never falls below 95 % of its first value.
    """
    smoothed = _smooth(losses)
    start, lowest = smoothed[0], _end_of_descent(smoothed)
    if not lowest < (1 - NEEDED_DESCENT) * start:
        raise InputError(
            f"the loss does not fall between learning rates {rates[0]:g} and {rates[-1]:g}: "
            "widen --from and --to, or give more --steps"
        )

    def reached(share: float) -> float:
        return next(
            rate for rate, loss in zip(rates, smoothed, strict=True) if loss <= start - share * (start - lowest)
        )

    return RangeTest(
        rates=rates,
        losses=losses,
        smoothed=smoothed,
        base_learning_rate=reached(DESCENT_AT_LOWER_BOUND),
        learning_rate=reached(DESCENT_AT_UPPER_BOUND),
        schedule=schedule,
    )


def _sweep(prepared: Prepared, seed: int, lowest: float, highest: float, steps: int) -> tuple[list[float], list[float]]:
    """The learning rates and the losses, up to the step at which the loss diverges."""
    device = prepared.training.images.device
    rate = exponential(low=lowest, high=highest, steps=steps)
    objective = Objective(prepared.model.train(), prepared.recipe, prepared.threat_model, prepared.layers)
    # So long a training is at its beginning all the time: the loss stays the same function at every rate.
    updates = Updates(prepared.model, prepared.recipe, rate, steps=sys.maxsize)
    with seeding.global_streams(device, seed, "lr-range"):
        generator = seeding.generator(device, seed, "lr-range")
        training = train_on(islice(_endless(prepared, seed), steps), objective, updates, generator=generator)
        losses = list(_until_diverged(loss.item() for loss, _ in training))
    return [rate(step) for step in range(len(losses))], losses


def _endless(prepared: Prepared, seed: int) -> Iterator[Batch]:
    on_training = prepared.fixed and prepared.fixed.training
    size = prepared.recipe.batch_size
    return chain.from_iterable(batches(prepared.training, size, seed, epoch, on_training) for epoch in count(1))


def _until_diverged(losses: Iterator[float]) -> Iterator[float]:
    first = next(losses)
    return chain([first], takewhile(lambda loss: loss < DIVERGED_FACTOR * first, losses))


def _end_of_descent(smoothed: list[float]) -> float:
    """The lowest loss before the curve rises by ``RISE_THAT_ENDS_THE_DESCENT``."""
    lowest = smoothed[0]
    for loss in smoothed:
        if loss > lowest + RISE_THAT_ENDS_THE_DESCENT * smoothed[0]:
            break
        lowest = min(lowest, loss)
    return lowest


def _smooth(losses: list[float]) -> list[float]:
    """The mean loss of a window around each step; at the ends of the curve the window is cut off."""
    half = max(1, len(losses) // 20)
    windows = (losses[max(0, step - half) : step + half + 1] for step in range(len(losses)))
    return [fmean(window) for window in windows]
