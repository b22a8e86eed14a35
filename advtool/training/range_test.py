"""The learning-rate range test (Smith 2017, section 3.3): one short training with an ever larger learning rate."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, count, islice, takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from advtool import arguments, seeding
from advtool.arguments import MOST, shown
from advtool.data import Split
from advtool.errors import InputError
from advtool.settings import with_settings
from advtool.training.loop import Batch, batches, train_on
from advtool.training.schedule import Updates, exponential
from advtool.training.session import Prepared, prepare
from advtool.training.settings import Schedule, Settings

LOWEST, HIGHEST = 1e-6, 1.0
STEPS = 300
LEARNT, LEARNT_ENOUGH = 0.1, 0.9
"""The shares of the loss's whole descent at which the two bounds lie."""
DIVERGED = 4.0
"""The test ends where the loss is that many times the first one, or NaN."""


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """The curve of a range test, and the two bounds that it proposes.

    Attributes:
        rates: the learning rate of every step, rising by the same factor.
        losses: the training loss of each step, before its update.
        smoothed: its mean over the steps nearby.
        base_learning_rate: the lower bound, at which learning sets in.
        learning_rate: the upper bound, at which it is almost done, before the loss gets ragged and rises.
        schedule: of the recipe. With a constant learning rate only the upper bound is of use.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    base_learning_rate: float
    learning_rate: float
    schedule: Schedule

    def to_dict(self) -> dict[str, Any]:
        """The document ``advtool.lr-range/1``: the fields, all of JSON's types."""
        return {"schema": "advtool.lr-range/1", **asdict(self)}


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
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    **settings: Any,
) -> RangeTest:
    """Train a new model for some hundred batches, the learning rate rising from ``lowest`` to ``highest``.

    The other arguments are those of :func:`advtool.training.train`. The test ends early once the loss is NaN
    or four times what it was at first.

    Raises:
        InputError: as for :func:`advtool.training.train`; the rates or the steps are out of range; or the loss
            does not fall anywhere, so that no bound can be read from it.
    """
    low, high = arguments.number(lowest), arguments.number(highest)
    if low is None or high is None or not 0 < low < high:
        raise InputError(
            f"--from {shown(lowest)} --to {shown(highest)}: these must be positive numbers, the first the lower"
        )
    if (whole := arguments.integer(steps)) is None or not 20 <= whole <= MOST:
        raise InputError(
            f"--steps {shown(steps)}: it must be 20 or more, to smooth the loss over some of them, and at most {MOST}"
        )
    prepared = prepare(data, recipe, eps=eps, seed=seed, device=device, limit=limit, data_dir=data_dir, **settings)
    rates, losses = _sweep(prepared, prepared.header.seed, low, high, whole)
    return propose(rates, losses, prepared.recipe.schedule)


def propose(rates: list[float], losses: list[float], schedule: Schedule) -> RangeTest:
    """Read the two bounds for a ``schedule`` from a curve of rising ``rates`` and the ``losses``, 20 or more of each.

    The loss is averaged over a window of a twentieth of the curve on either side. Of its descent, from the first
    value to the lowest, the lower bound is the rate at which a tenth is done, the upper the one at which nine
    tenths are: Smith's "accuracy starts to increase" and "slows".

    Raises:
        InputError: the smoothed loss does not fall below 95 % of what it is at first.
    """
    smoothed = _smooth(losses)
    start, lowest = smoothed[0], min(smoothed)
    if not lowest < 0.95 * start:
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
        base_learning_rate=reached(LEARNT),
        learning_rate=reached(LEARNT_ENOUGH),
        schedule=schedule,
    )


def _sweep(prepared: Prepared, seed: int, lowest: float, highest: float, steps: int) -> tuple[list[float], list[float]]:
    """The rates, and the losses as far as they stay within bounds."""
    device = prepared.training.images.device
    rate = exponential(low=lowest, high=highest, steps=steps)
    updates = Updates(prepared.model, prepared.recipe, rate)
    with seeding.global_streams(device, seed, "lr-range"):
        training = train_on(
            islice(_endless(prepared, seed), steps),
            prepared.model,
            prepared.recipe,
            updates,
            threat_model=prepared.threat_model,
            generator=seeding.generator(device, seed, "lr-range"),
        )
        losses = list(_until_diverged(loss.item() for loss, _ in training))
    return [rate(step) for step in range(len(losses))], losses


def _endless(prepared: Prepared, seed: int) -> Iterator[Batch]:
    on_training = prepared.fixed and prepared.fixed.training
    size = prepared.recipe.batch_size
    return chain.from_iterable(batches(prepared.training, size, seed, epoch, on_training) for epoch in count(1))


def _until_diverged(losses: Iterator[float]) -> Iterator[float]:
    first = next(losses)
    return chain([first], takewhile(lambda loss: loss < DIVERGED * first, losses))


def _smooth(losses: list[float]) -> list[float]:
    """The mean over a window around each step, cut off at both ends."""
    half = max(1, len(losses) // 20)
    windows = (losses[max(0, step - half) : step + half + 1] for step in range(len(losses)))
    return [fmean(window) for window in windows]
