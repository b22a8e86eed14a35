"""The rules that read a curve: does the accuracy rise where it should fall, and how many EOT samples are enough?"""

from collections.abc import Mapping, Sequence
from itertools import combinations

from torch import Tensor

from advtool.evaluation.uncertainty import paired_difference
from advtool.results import PairedChange

MAX_FALL = 0.03
"""An accuracy that falls by less than this counts as constant."""
RISE_MIN_LOWER_BOUND = 0.01
"""A rise is told if its interval begins above this. Of many pairs, some rise a little by chance."""

PerImage = Sequence[bool] | Tensor
"""For each of N images: does it survive? bool (N,)"""


def clearest_rise(survives: Mapping[float, PerImage]) -> PairedChange | None:
    """The rise of the accuracy, from a smaller value to a larger one, that chance explains least.

    Args:
        survives: by value, ascending: which of the same N images survive.

    Returns:
        The pair with the highest lower bound, or None if that is not above ``RISE_MIN_LOWER_BOUND``.
    """
    changes = [_change(survives, start, end) for start, end in combinations(survives, 2)]
    clearest = max(changes, key=lambda change: change.interval[0], default=None)
    return clearest if clearest is not None and clearest.interval[0] > RISE_MIN_LOWER_BOUND else None


def deepest_falls(survives: Mapping[float, PerImage]) -> list[PairedChange]:
    """The deepest fall from each value except the last: the change to a larger value whose interval begins lowest.

    Args:
        survives: by value, ascending: which of the same N images survive.
    """
    values = list(survives)
    return [
        min((_change(survives, start, end) for end in values[place:]), key=lambda change: change.interval[0])
        for place, start in enumerate(values[:-1], start=1)
    ]


def enough_draws(falls: Sequence[PairedChange]) -> int | None:
    """The smallest count above which the accuracy can no longer fall by ``MAX_FALL``; None if there is none.

    The rule goes down from the largest count and stops at the first failure. So it tests in a fixed order, and needs no
    correction for many comparisons.

    Args:
        falls: what :func:`deepest_falls` gives.
    """
    enough = None
    for fall in reversed(falls):
        if fall.interval[0] <= -MAX_FALL:
            break
        enough = int(fall.start)
    return enough


def _change(survives: Mapping[float, PerImage], start: float, end: float) -> PairedChange:
    change = paired_difference(survives[end], survives[start])
    return PairedChange(start=start, end=end, difference=change.difference, interval=change.interval)
