"""The verifier: what an attack returns counts only after this has seen it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.perturbation import CLIP
from advtool.target.scores import margin, predictions

ROUNDING = 2 * torch.finfo(torch.float32).eps
"""``x + eps`` in float32 may miss the ball's surface by this much."""


@dataclass(frozen=True)
class Verdict:
    """For each of N candidates: is it an adversarial example, and what does the model say of it?"""

    adversarial: Tensor
    """bool (N,)"""
    prediction: Tensor
    """int64 (N,); -1 where the scores are not finite"""
    margin: Tensor
    """float32 (N,); below 0 where misclassified"""


def verify(score: Callable[[Tensor], Tensor], candidates: Tensor, x: Tensor, y: Tensor, *, eps: float) -> Verdict:
    """Hold ``candidates`` (N, C, H, W) to the threat model and to the prediction rule of the clean accuracy.

    An adversarial example is finite, inside the eps ball around ``x`` and the clip range to float32 rounding,
    and misclassified in float32 by the votes of the run.

    Args:
        score: images (N, C, H, W) to scores (N, classes), by the votes of the run and with noise that the search
            never saw.
        candidates: what the search found for each image.
        x: the images.
        y: their labels, int64 (N,).
        eps: radius of the ball.
    """
    allowed = _is_allowed(candidates, x, eps)
    scores = score(torch.where(allowed.view(-1, 1, 1, 1), candidates, x))
    prediction = predictions(scores)
    return Verdict(allowed & (prediction != y), prediction, margin(scores, y))


def _is_allowed(candidates: Tensor, x: Tensor, eps: float) -> Tensor:
    change = (candidates.double() - x.double()).abs().flatten(1).amax(1)
    low, high = candidates.flatten(1).aminmax(dim=1)
    return (change <= eps + ROUNDING) & (low >= CLIP[0]) & (high <= CLIP[1])  # NaN fails each comparison
