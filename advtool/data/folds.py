"""Repeated two-fold cross-validation as the second paper does it (Schwinn et al., section 4.1).

The predefined training images are halved at random, each half trains one model and tests the other; the predefined
test images are halved too, and each half validates one of the two.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from advtool.data.split import Split
from advtool.seeding import derive

REPEATS = 5
"""Times that the training images are halved; two models each."""


@dataclass(frozen=True)
class Fold:
    """One half of one repetition: ``repeat`` from 0, ``half`` 0 or 1."""

    repeat: int
    half: int

    @property
    def name(self) -> str:
        """For file names."""
        return f"r{self.repeat}h{self.half}"


class FoldedSplits(NamedTuple):
    """What one model of a cross-validation trains on, is chosen by and is tested on."""

    training: Split
    validation: Split
    test: Split


def cut(fold: Fold, train: Split, test: Split) -> FoldedSplits:
    """The splits of ``fold``; they do not depend on any seed of a user.

    Args:
        fold: which.
        train: the predefined training images, at least two.
        test: the predefined test images, at least two.
    """
    ours = _half(train, fold.half, "train", fold.repeat)
    theirs = _half(train, 1 - fold.half, "train", fold.repeat)
    return FoldedSplits(ours, _half(test, fold.half, "validation", fold.repeat), theirs)


def _half(split: Split, half: int, purpose: str, repeat: int) -> Split:
    # NumPy promises never to change RandomState's streams.
    stream = np.random.RandomState(derive(0, "fold", purpose, repeat) % 2**32)
    order = torch.from_numpy(stream.permutation(len(split)).astype(np.int64))
    chosen = order[: len(split) // 2] if half == 0 else order[len(split) // 2 :]
    return split[chosen.sort().values]
