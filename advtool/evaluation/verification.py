"""The verifier: a candidate that an attack returns counts only after the verifier has accepted it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from advtool.target.scores import margin, predictions
from advtool.threat import ThreatModel


class Verdict(NamedTuple):
    """The verifier's answer for each of N candidates: is it an adversarial example, and how is it classified?"""

    adversarial: Tensor
    """bool (N,)"""
    prediction: Tensor
    """int64 (N,); -1 where the scores are not finite"""
    margin: Tensor
    """float32 (N,); below 0 where misclassified"""


def verify(
    score: Callable[[Tensor], Tensor], candidates: Tensor, x: Tensor, y: Tensor, threat_model: ThreatModel
) -> Verdict:
    """Tell which candidates are adversarial examples, by the threat model and the rule of the clean accuracy.

    An adversarial example is finite, lies inside the ball around its image and inside the clip range, to float32
    rounding, and the votes of the run misclassify it in float32.

    Args:
        score: maps images (N, C, H, W) to scores (N, classes), by the votes of the run and with noise that the search
            never saw.
        candidates: the point that the search found for each image, float32 (N, C, H, W).
        x: the images, float32 (N, C, H, W) in the clip range.
        y: the labels, int64 (N,).
        threat_model: what the attacker may do.
    """
    allowed = threat_model.contains(candidates, x)
    scores = score(torch.where(allowed.view(-1, 1, 1, 1), candidates, x))
    prediction = predictions(scores)
    return Verdict(allowed & (prediction != y), prediction, margin(scores, y))
