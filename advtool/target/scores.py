"""Predictions, margins and losses from a model's logits."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from advtool.errors import InputError

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes logits (N, classes) and labels (N,), or other rows (N, ...) that a loss needs; gives a loss per image (N,)."""

BARELY_FALLEN = -torch.finfo(torch.float32).tiny
"""The margin of an image that is not right although no class is ahead: it has no answer, or the true class lost a tie.
A point where another class is ahead is a better example.
"""


def per_image_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross entropy of each image, (N,).

    Args:
        logits: (N, classes).
        labels: int64 (N,).
    """
    return cross_entropy(logits, labels, reduction="none")


def predictions(scores: Tensor) -> Tensor:
    """The class of the highest score for each image, int64 (N,).

    An image gets -1, which is never right, if its highest score is infinite or any of its scores is NaN. Lower scores
    may be minus infinity: so a model rules classes out.

    Args:
        scores: (N, classes).
    """
    highest, classes = scores.max(1)  # NaN if any score of the image is NaN
    return torch.where(highest.isfinite(), classes, -1)


def refuse_missing_classes(labels: Tensor, classes: int) -> None:
    """Refuse labels, int64 (N,), that a model with so many classes never gives.

    Raises:
        InputError: there is one; the message names likely reasons.
    """
    highest = int(labels.max()) if len(labels) else -1
    if highest >= classes:
        raise InputError(
            f"labels go up to {highest}, but the model has {classes} classes (0 to {classes - 1}): do the labels begin "
            "at 1, was the model made for another data set, or does the file of its class names "
            "(--classes) name outputs that it lacks?"
        )


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """The score of the true class minus the best other score, (N,). It is negative for a misclassified image.

    The margin loss of Carlini and Wagner (2017) is :func:`negative_margin`. To decide whether an image is
    misclassified, compare predictions instead of margins: a margin of 0 leaves it open.

    Args:
        scores: (N, classes).
        labels: int64 (N,).
    """
    true = scores.gather(1, labels[:, None])
    return (true - scores.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)).squeeze(1)


def judged_margin(scores: Tensor, labels: Tensor) -> Tensor:
    """The margin (N,), below 0 exactly where :func:`predictions` is another class than the true one.

    It is ``BARELY_FALLEN`` where there is no answer, and where the true class lost a tie, as rounded scores have them.

    Args:
        scores: (N, classes).
        labels: int64 (N,).
    """
    classes, margins = predictions(scores), margin(scores, labels)
    lost_a_tie = (classes != labels) & (margins == 0)
    return torch.where((classes < 0) | lost_a_tie, BARELY_FALLEN, margins)


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best other logit minus the logit of the true class, (N,).

    Args:
        logits: (N, classes).
        labels: int64 (N,).
    """
    return -margin(logits, labels)


def finite(logits: Tensor) -> Tensor:
    """Replace minus infinity, which rules a class out, by the image's lowest finite logit minus 1.

    Args:
        logits: (N, classes).
    """
    ruled_out = logits.isneginf()
    lowest = logits.detach().masked_fill(ruled_out, torch.inf).amin(1, keepdim=True) - 1
    return torch.where(ruled_out, lowest, logits)
