"""What kind of model is this? Found out by asking it, before the run."""

import torch
from torch import Tensor, nn

from advtool.attacks.estimator import Randomness

CALLS = 8
"""Noise that shows in one call of seven is found in two models of three, and more often by two batches."""
ROUNDING = 1e-5
"""Share of the largest logit by which two equal calls may differ through the order of sums alone."""


def randomness(model: nn.Module, images: Tensor) -> Randomness:
    """Whether two identical calls differ, and if so whether two copies in one batch differ too.

    A model that draws its noise once a call gives all copies in a batch the same draw: averaging over them
    would average over nothing.

    Args:
        model: in eval mode.
        images: a few images (N, C, H, W) on its device.
    """
    batch = images[:8]
    copies = batch[:1].repeat(8, 1, 1, 1)
    with torch.no_grad():
        if not (_calls_differ(model, batch) or _calls_differ(model, copies)):
            return Randomness.none
        one_call = model(copies)
    return Randomness.each_image if _differ(one_call, one_call[:1].expand_as(one_call)) else Randomness.each_call


def _calls_differ(model: nn.Module, x: Tensor) -> bool:
    first = model(x)
    return any(_differ(first, model(x)) for _ in range(CALLS - 1))


def _differ(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().max() > ROUNDING * first.abs().max().clamp_min(1e-6))
