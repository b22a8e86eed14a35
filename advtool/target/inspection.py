"""What the gradient of a model is worth, asked of the images of the diagnostics once the attacks are done."""

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from advtool.target.scores import negative_margin, per_image_cross_entropy
from advtool.target.target import Autograd, Target

NEAR_AN_END = 0.02
"""A pixel so close to an end of the clip range counts as lying there."""
VANISHING = 1e-12
ENDS_ASKED = 32
"""Images whose pixels at the ends of the range are asked for their gradients: thousands of pixels."""


class Inspection(BaseModel):
    """Facts about a model's outputs and gradients, on up to 200 images. Shares are fractions in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ends_ignored: bool
    """pixels at the ends of the clip range have no gradient, and would have one further inside"""
    saturated: float
    """share of images whose largest softmax output is exactly 1 in float32"""
    vanishing: float
    """share of images whose gradient of the cross entropy is zero everywhere"""
    blind: float
    """share of images whose gradient of the margin, which no softmax flattens, is zero or NaN everywhere"""
    undefined: float
    """share of the entries of that gradient that are NaN"""


def inspect(target: Target, x: Tensor, y: Tensor) -> Inspection:
    """Ask the model about images ``x`` (N, C, H, W) with labels ``y`` (N,), on its device.

    The caller seeds the global generators.
    """
    saturated = _share(target.logits(x).softmax(1).amax(1) == 1)
    if target.autograd is Autograd.none:
        return Inspection(ends_ignored=False, saturated=saturated, vanishing=1.0, blind=1.0, undefined=0.0)
    of_margin = target.raw_gradient(x, y, negative_margin).flatten(1)
    of_loss = target.raw_gradient(x, y, per_image_cross_entropy).flatten(1)
    return Inspection(
        ends_ignored=_ignores_the_ends(target, x[:ENDS_ASKED], y[:ENDS_ASKED]),
        saturated=saturated,
        vanishing=_share(of_loss.abs().amax(1) < VANISHING),
        blind=_share(((of_margin == 0) | of_margin.isnan()).all(1)),
        undefined=_share(of_margin.isnan()),
    )


def _ignores_the_ends(target: Target, x: Tensor, y: Tensor) -> bool:
    """Nearly every pixel at an end of the range is without gradient, and most are not once they are moved inside."""
    at_end = (x < NEAR_AN_END) | (x > 1 - NEAR_AN_END)
    if not bool(at_end.any()):
        return False

    def dead(at: Tensor) -> float:
        return _share(target.scores_and_gradient(at, y, negative_margin, eot=1)[1][at_end] == 0)

    return dead(x) > 0.99 and dead(0.25 + 0.5 * x) < 0.5


def _share(of: Tensor) -> float:
    return float(of.float().mean())
