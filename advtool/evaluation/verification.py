"""The verifier: what an attack returns counts only after this has seen it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.target.scores import margin, predictions
from advtool.threat import ThreatModel


@dataclass(frozen=True)
class Verdict:
    """For each of N candidates: is it an adversarial example, and what does the model say of it?"""

    adversarial: Tensor
    """bool (N,)"""
    prediction: Tensor
    """int64 (N,); -1 where the scores are not finite"""
    margin: Tensor
    """float32 (N,); below 0 where misclassified"""


def verify(
    score: Callable[[Tensor], Tensor], candidates: Tensor, x: Tensor, y: Tensor, threat_model: ThreatModel
) -> Verdict:
    """Hold ``candidates`` (N, C, H, W) to the threat model and to the prediction rule of the clean accuracy.

    An adversarial example is finite, inside the ball of the threat model around ``x`` and its clip range to float32
    rounding, and misclassified in float32 by the votes of the run.

    Args:
        score: images (N, C, H, W) to scores (N, classes), by the votes of the run and with noise that the search
            never saw.
        candidates: what the search found for each image.
        x: the images.
        y: their labels, int64 (N,).
        threat_model: what the attacker may do.
    """
    allowed = threat_model.contains(candidates, x)
    scores = score(torch.where(allowed.view(-1, 1, 1, 1), candidates, x))
    prediction = predictions(scores)
    return Verdict(allowed & (prediction != y), prediction, margin(scores, y))
