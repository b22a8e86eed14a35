"""What is known of a training's epochs: their figures, which one is kept, whether the training collapsed."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from advtool.training.settings import Keep

DROP = 0.2
"""How far the PGD accuracy falls below its best in a collapse: 20 points."""
SLACK = 0.02
"""How far the one-step accuracy may have fallen with it. A model near its ceiling cannot rise."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Validation figures of a model: accuracies in [0, 1], and a mean cross entropy in nats.

    Attributes:
        clean: accuracy on clean images.
        one_step: accuracy on one-step examples of the recipe's kind made against this model (white box).
        pgd: accuracy on multi-step examples made against this model, of a fixed part of the images.
        adversarial_loss: mean cross entropy on those multi-step examples.
        fixed: accuracy on examples that were made once from another model; None if there are none.
        noise_centre: mean standard deviation of the noise of a PNIL in the centre of the images, as a
            fraction of the pixel range; None without a PNIL.
        noise_border: likewise, in their border.
    """

    clean: float
    one_step: float
    pgd: float
    adversarial_loss: float
    fixed: float | None = None
    noise_centre: float | None = None
    noise_border: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figures(Measured):
    """One epoch, numbered from 1: its mean training loss, its validation figures, its wall time in seconds."""

    epoch: int
    loss: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint's card."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """Catastrophic overfitting (Wong et al. 2020): the figures of ``epoch``, and of the best PGD accuracy before it."""

    epoch: int
    one_step: float
    pgd: float
    best_epoch: int
    best_one_step: float
    best_pgd: float

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint's card."""
        return asdict(self)


def best(history: Sequence[Figures], keep: Keep, floor: float) -> Figures:
    """The epoch to keep: the first place by ``keep``, ties by one-step and clean accuracy, then the later epoch.

    Adversarial accuracies up to ``floor`` (:func:`floor_of`) tie: a model that answers the same whatever it is
    shown reaches them too, so an immature epoch would beat every later one of a training that PGD breaks.
    """

    def rank(f: Figures) -> tuple[float, ...]:
        pgd, one_step = max(f.pgd, floor), max(f.one_step, floor)
        first = {"pgd": pgd, "loss": -f.adversarial_loss, "one-step": one_step, "clean": f.clean}
        return first[keep], one_step, f.clean, f.epoch

    return max(history, key=rank)


def decided_by_floor(kept: Figures, keep: Keep, floor: float) -> bool:
    """Whether all epochs tied, none above ``floor`` by the accuracy asked for, so that ``kept`` won by another one."""
    accuracy = {"pgd": kept.pgd, "one-step": kept.one_step}.get(keep)
    return accuracy is not None and accuracy <= floor


def floor_of(labels: Tensor) -> float:
    """The share p of the most frequent class among ``labels``, int64 (N,), and two standard errors above it.

    ``p + 2 sqrt(p (1 - p) / N)``, at most 1: an accuracy that a constant answer can have on such images.
    """
    count = len(labels)
    p = labels.bincount().max().item() / count
    return min(1.0, p + 2 * math.sqrt(p * (1 - p) / count))


def find_collapse(history: Sequence[Figures]) -> Collapse | None:
    """The first epoch in which PGD accuracy fell by more than 20 points while one-step examples got no harder.

    Both are compared with the epoch of the best PGD accuracy before it; one-step accuracy up to 2 points below
    that epoch's counts as no harder.
    """
    for index, now in enumerate(history[1:], start=1):
        peak = max(history[:index], key=lambda figures: figures.pgd)
        if peak.pgd - now.pgd > DROP and now.one_step >= peak.one_step - SLACK:
            return Collapse(
                epoch=now.epoch,
                one_step=now.one_step,
                pgd=now.pgd,
                best_epoch=peak.epoch,
                best_one_step=peak.one_step,
                best_pgd=peak.pgd,
            )
    return None
