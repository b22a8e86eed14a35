"""What logits say of images: the prediction, the margin, and the losses of which attacks follow the gradient."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, classes) and labels (N,), or whatever rows (N, ...) the loss wants, to the loss of each image (N,)."""


def per_image_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of each image, (N,)."""
    return cross_entropy(logits, labels, reduction="none")


def predictions(scores: Tensor) -> Tensor:
    """The class of the highest score, int64 (N,); -1, which is never right, where it is infinite or one is NaN.

    Other scores may be minus infinity: a model that rules classes out says so.
    """
    highest, classes = scores.max(1)  # NaN where one is
    return torch.where(highest.isfinite(), classes, -1)


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """Score of the true class minus the best other one, (N,): negative where the image is misclassified.

    The margin loss of Carlini and Wagner (2017) is its negative. A tie counts as misclassified only if
    ``argmax`` takes the other class, so compare predictions, not margins, to decide.
    """
    true = scores.gather(1, labels[:, None])
    return (true - scores.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)).squeeze(1)


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best other logit minus that of the true class, (N,)."""
    return -margin(logits, labels)


def finite(logits: Tensor) -> Tensor:
    """Minus infinity, which rules a class out, becomes a number just below the image's lowest finite logit."""
    ruled_out = logits.isneginf()
    lowest = logits.detach().masked_fill(ruled_out, torch.inf).amin(1, keepdim=True) - 1
    return torch.where(ruled_out, lowest, logits)
