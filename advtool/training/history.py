"""The epochs of a training: which one is kept, and whether the training collapsed."""

import math
from collections.abc import Sequence

from torch import Tensor

from advtool.results import Collapse, Figures
from advtool.training.settings import Keep

COLLAPSE_MIN_PGD_DROP = 0.2
"""In a collapse the PGD accuracy falls by more than 20 points below its best."""
COLLAPSE_MAX_ONE_STEP_DROP = 0.02
"""In a collapse the one-step accuracy falls by at most 2 points. Near 100 % it cannot rise."""


def best(history: Sequence[Figures], keep: Keep, floor: float) -> Figures:
    """The epoch to keep: the best by ``keep``. Ties go by one-step accuracy, clean accuracy, then the later epoch.

    Adversarial and certified accuracies up to ``floor`` (:func:`floor_of`) count as equal, because a model with a
    constant answer reaches them too. Otherwise, if PGD breaks every epoch, the first and untrained one would win.
    """

    def rank(f: Figures) -> tuple[float, ...]:
        others = {"loss": -f.adversarial_loss, "clean": f.clean, "last": f.epoch}
        floored = {kept_by: max(share, floor) for kept_by, share in _floored(f).items()}
        return (others | floored)[keep], floored["one-step"], f.clean, f.epoch

    return max(history, key=rank)


def decided_by_floor(kept: Figures, keep: Keep, floor: float) -> bool:
    """Whether no epoch is above ``floor`` by the accuracy ``keep``, so that another accuracy chose ``kept``."""
    accuracy = _floored(kept).get(keep)
    return accuracy is not None and accuracy <= floor


def _floored(figures: Figures) -> dict[Keep, float]:
    """The accuracies for which the floor counts."""
    return {"pgd": figures.pgd, "one-step": figures.one_step, "certified": figures.certified or 0.0}


def floor_of(labels: Tensor) -> float:
    """The accuracy that a constant answer can reach by chance: ``p + 2 sqrt(p (1 - p) / N)``, at most 1.

    p is the share of the most frequent class among the ``labels``, int64 (N,).
    """
    count = len(labels)
    p = labels.bincount().max().item() / count
    return min(1.0, p + 2 * math.sqrt(p * (1 - p) / count))


def find_collapse(history: Sequence[Figures]) -> Collapse | None:
    """The first epoch whose PGD accuracy fell by more than 20 points while its one-step accuracy held.

    Both are compared with the earlier epoch that has the best PGD accuracy. The one-step accuracy holds if it fell by
    at most 2 points.
    """
    for index, now in enumerate(history[1:], start=1):
        peak = max(history[:index], key=lambda figures: figures.pgd)
        if peak.pgd - now.pgd > COLLAPSE_MIN_PGD_DROP and now.one_step >= peak.one_step - COLLAPSE_MAX_ONE_STEP_DROP:
            return Collapse(
                epoch=now.epoch,
                one_step=now.one_step,
                pgd=now.pgd,
                best_epoch=peak.epoch,
                best_one_step=peak.one_step,
                best_pgd=peak.pgd,
            )
    return None
