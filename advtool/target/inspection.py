"""How useful is the model's gradient? Asked after the attacks, on the images of the diagnostics."""

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from advtool.target.facts import Autograd
from advtool.target.scores import negative_margin, per_image_cross_entropy
from advtool.target.target import Target

RANGE_END_WIDTH = 0.02
"""A pixel this close to 0 or 1 counts as a pixel at an end of the clip range."""
VANISHING_GRADIENT = 1e-12
"""A gradient with no larger entry counts as zero."""
RANGE_END_IMAGES = 32
"""The gradient at pixels at the ends of the range is asked on so many images, which hold thousands of such pixels."""


class Inspection(BaseModel):
    """Facts about a model's outputs and gradients on a few hundred images. Shares are fractions in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ends_ignored: bool
    """pixels at the ends of the clip range have no gradient, but pixels further inside have one"""
    saturated: float
    """share of images whose largest softmax output is exactly 1 in float32"""
    vanishing: float
    """share of images whose gradient of the cross entropy is zero in every pixel"""
    blind: float
    """share of images whose gradient of the margin is zero or NaN in every pixel; no softmax flattens the margin"""
    undefined: float
    """share of entries that are NaN in the gradients of the margin"""


def inspect(target: Target, x: Tensor, y: Tensor) -> Inspection:
    """Ask the model about a few images. The caller seeds the global generators.

    Args:
        target: the model as attacks ask it.
        x: float32 images (N, C, H, W) in [0, 1] on the model's device.
        y: their labels, int64 (N,).
    """
    saturated = _share(target.logits(x).softmax(1).amax(1) == 1)
    if target.autograd is Autograd.none:
        return Inspection(ends_ignored=False, saturated=saturated, vanishing=1.0, blind=1.0, undefined=0.0)
    of_margin = target.raw_gradient(x, y, negative_margin).flatten(1)
    of_loss = target.raw_gradient(x, y, per_image_cross_entropy).flatten(1)
    return Inspection(
        ends_ignored=_ignores_the_ends(target, x[:RANGE_END_IMAGES], y[:RANGE_END_IMAGES]),
        saturated=saturated,
        vanishing=_share(of_loss.abs().amax(1) < VANISHING_GRADIENT),
        blind=_share(((of_margin == 0) | of_margin.isnan()).all(1)),
        undefined=_share(of_margin.isnan()),
    )


def _ignores_the_ends(target: Target, x: Tensor, y: Tensor) -> bool:
    """Whether nearly all pixels at an end of the range have no gradient, and most have one once they move inside."""
    at_end = (x < RANGE_END_WIDTH) | (x > 1 - RANGE_END_WIDTH)
    if not bool(at_end.any()):
        return False

    def share_without_gradient(images: Tensor) -> float:
        return _share(target.scores_and_gradient(images, y, negative_margin, eot=1)[1][at_end] == 0)

    return share_without_gradient(x) > 0.99 and share_without_gradient(0.25 + 0.5 * x) < 0.5


def _share(true: Tensor) -> float:
    return float(true.float().mean())
