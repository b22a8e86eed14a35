"""SPSA, simultaneous perturbation stochastic approximation (Spall 1992; Uesato et al. 2018): no gradients."""

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import Parameter, positive_integer, positive_number
from advtool.errors import InputError

LEARNING_RATE = 0.01
BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8  # Adam's own defaults


class SPSA(TensorAttack):
    """Adam on the margin, with gradients estimated from forward passes at antithetic pairs of points.

    For directions ``v`` of random signs the estimate is the mean of ``v (f(x + delta v) - f(x - delta v)) / (2
    delta)``. All images of a batch share the directions: for each of them the estimate has the distribution it
    would have with directions of its own, the weighted sum of directions is one matrix product, and a model's
    first convolution is computed for each image and each direction, not for each point
    (:mod:`advtool.target.affine_start`). The points lie around the nearest image that is delta away from the clip
    range's ends, since a model owes no answer outside.

    Adam moves every pixel by about as much, whatever its slope: in another ball than L-infinity this is no ascent.
    """

    name = "spsa"
    guide = Guide.scores
    norms = ("linf",)

    steps = Parameter(positive_integer, 100)
    """Adam steps"""
    samples = Parameter(positive_integer, 128)
    """forward evaluations a step, half as many antithetic pairs; even"""
    learning_rate = Parameter(
        positive_number, derive=lambda spsa: max(LEARNING_RATE, 2 * spsa.threat_model.eps / spsa.steps)
    )
    """of Adam, a fraction of the pixel range; default 0.01, or 2 eps / steps if that is more, so that few steps reach
    the ball's surface too"""
    delta = Parameter(positive_number, 0.01)
    """distance of the sample points from the image, a fraction of the pixel range"""
    eot = Parameter(positive_integer, 1)
    """draws of a random model's noise that each evaluation averages over"""

    def _check_params(self) -> None:
        if self.samples % 2:
            raise InputError(f"spsa: samples={self.samples} must be even: they come in antithetic pairs")
        low, high = self.threat_model.clip
        if 2 * self.delta > high - low:
            raise InputError(f"spsa: delta={self.delta!r} must be at most 0.5: both points lie in the clip range")

    @property
    def most_queries(self) -> int:
        return self.steps * self.samples * self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        x_adv, mean, square = x, torch.zeros_like(x), torch.zeros_like(x)
        for step in range(1, self.steps + 1):
            gradient = self._estimate(x_adv, y, generator)
            found.spend(self.samples * self.eot)
            mean.lerp_(gradient, 1 - BETA1)
            square.lerp_(gradient.square_(), 1 - BETA2)
            slope = mean / (1 - BETA1**step)
            spread = (square / (1 - BETA2**step)).sqrt_().add_(ADAM_EPSILON)
            x_adv = self.threat_model.project(x_adv - self.learning_rate * slope / spread, x)
            looks = step % found.steps_between_looks == 0
            if not self.target.randomised or step == self.steps or (looks and self.target.knows_what_fell):
                found.spend(self.target.votes)
                found.meet(x_adv, self.target.scores(x_adv), step)
            if looks:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv, mean, square = (tensor[kept] for tensor in (x, y, x_adv, mean, square))
                report(step, self.steps, len(x))
                if len(x) == 0:
                    return

    def _estimate(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """The estimated gradient of the margin at ``x``, of the same shape."""
        gradient, pairs = torch.zeros_like(x), self.samples // 2
        centre = x.clamp(*self._room)
        for some in torch.arange(pairs).split(max(1, self.target.batch_size // (2 * len(x)))):
            signs = _random_signs((len(some), *x.shape[1:]), generator)
            ahead, behind = self._margins(centre, y, torch.cat((signs, -signs))).chunk(2)
            difference = (ahead - behind).nan_to_num_(nan=0.0)  # one NaN would stay in Adam's mean for good
            gradient += torch.einsum("pn,pchw->nchw", difference, signs)
        return gradient / (2 * self.delta * pairs)

    @property
    def _room(self) -> tuple[float, float]:
        """The pixels around which both points of a pair are in the clip range."""
        low, high = self.threat_model.clip
        return low + self.delta, high - self.delta

    def _margins(self, x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
        """Margins (P, N) of the N images moved by delta along each of P directions, averaged over the draws."""
        changes = self.delta * directions
        margins = self.mean_margins(
            lambda: self.target.logits_nearby(x, changes).flatten(0, 1), y.repeat(len(directions))
        )
        return margins.view(len(directions), len(x))


def _random_signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    bits = torch.randint(0, 2, shape, generator=generator, device=generator.device, dtype=torch.int8)
    return bits.float().mul_(2).sub_(1)
