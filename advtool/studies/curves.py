"""What curves say: where an accuracy rises that should fall, and how many EOT samples are enough."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from torch import Tensor

from advtool.evaluation.uncertainty import paired_difference
from advtool.results import PairedChange

MAX_FALL = 0.03
"""An accuracy has stopped falling where it falls by less."""
MIN_RISE = 0.01
"""A rise is told if its lower bound is above this: among many pairs, some would rise by chance."""

Outcome = Sequence[bool] | Tensor
"""Whether each of N images survives."""


def clearest_rise(survives: Mapping[float, Outcome]) -> PairedChange | None:
    """The rise of the accuracy from a smaller value to a larger one that noise explains least.

    Args:
        survives: for each value, ascending, whether each of the same N images survives.

    Returns:
        The pair with the highest lower bound, or None if that is not above ``MIN_RISE``.
    """
    changes = [_change(survives, start, end) for start, end in combinations(survives, 2)]
    clearest = max(changes, key=lambda change: change.interval[0], default=None)
    return clearest if clearest is not None and clearest.interval[0] > MIN_RISE else None


def deepest_falls(survives: Mapping[float, Outcome]) -> list[PairedChange]:
    """For each value but the last, the change to the larger value whose interval reaches lowest.

    Args:
        survives: for each value, ascending, whether each of the same N images survives.
    """
    values = list(survives)
    return [
        min((_change(survives, start, end) for end in values[place:]), key=lambda change: change.interval[0])
        for place, start in enumerate(values[:-1], start=1)
    ]


def enough_draws(falls: Sequence[PairedChange]) -> int | None:
    """The smallest count from which upwards no fall can reach ``MAX_FALL``; None if there is none.

    Going down from the largest count and stopping at the first failure tests in a fixed order, so no correction
    for the many comparisons is due.
    """
    enough = None
    for fall in reversed(falls):
        if fall.interval[0] <= -MAX_FALL:
            break
        enough = int(fall.start)
    return enough


def _change(survives: Mapping[float, Outcome], start: float, end: float) -> PairedChange:
    change = paired_difference(survives[end], survives[start])
    return PairedChange(start=start, end=end, difference=change.difference, interval=change.interval)
