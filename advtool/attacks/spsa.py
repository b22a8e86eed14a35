"""SPSA, simultaneous perturbation stochastic approximation (Spall 1992; Uesato et al. 2018): no gradients."""

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer, positive_number
from advtool.errors import InputError
from advtool.perturbation import CLIP, project
from advtool.target.target import Target

LEARNING_RATE = 0.01
BETA1, BETA2, TINY = 0.9, 0.999, 1e-8  # Adam's own defaults


class SPSA(TensorAttack):
    """Adam on the margin, with gradients estimated from forward passes at antithetic pairs of points.

    For directions ``v`` of random signs the estimate is the mean of ``v (f(x + delta v) - f(x - delta v)) / (2
    delta)``. All images of a batch share the directions: for each of them the estimate has the distribution it
    would have with directions of its own, the weighted sum of directions is one matrix product, and a model's
    first convolution is computed for each image and each direction, not for each point
    (:mod:`advtool.target.search_form`). The points lie around the nearest image that is delta away from the clip
    range's ends, since a model owes no answer outside.

    Args:
        target: the model under attack.
        eps: radius of the ball, a fraction of the pixel range.
        steps: Adam steps.
        samples: forward evaluations a step, half as many antithetic pairs; even.
        learning_rate: of Adam, a fraction of the pixel range; by default 0.01, or 2 eps / steps if that is more, so
            that few steps reach the ball's surface too.
        delta: distance of the sample points, a fraction of the pixel range.
        eot: draws of a randomised model's noise that each evaluation averages over.
    """

    follows_gradient = False
    attack_params = ["eps", "steps", "samples", "learning_rate", "delta", "eot"]

    def __init__(
        self,
        target: Target,
        *,
        eps: float,
        steps: int = 100,
        samples: int = 128,
        learning_rate: float | None = None,
        delta: float = 0.01,
        eot: int = 1,
    ) -> None:
        super().__init__(target, eps=eps, eot=eot)
        self.steps = positive_integer("spsa", "steps", steps)
        self.samples = positive_integer("spsa", "samples", samples)
        if self.samples % 2:
            raise InputError(f"spsa: samples={self.samples} must be even: they come in antithetic pairs")
        reaching = max(LEARNING_RATE, 2 * self.eps / self.steps)
        self.learning_rate = (
            reaching if learning_rate is None else positive_number("spsa", "learning_rate", learning_rate)
        )
        self.delta = positive_number("spsa", "delta", delta)
        if 2 * self.delta > CLIP[1] - CLIP[0]:
            raise InputError(f"spsa: delta={self.delta!r} must be at most 0.5: both points lie in the clip range")

    @property
    def most_queries(self) -> int:
        return self.steps * self.samples * self.eot

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        x_adv, mean, square = x, torch.zeros_like(x), torch.zeros_like(x)
        for step in range(1, self.steps + 1):
            gradient = self._estimate(x_adv, y, generator)
            found.spend(self.samples * self.eot)
            mean.lerp_(gradient, 1 - BETA1)
            square.lerp_(gradient.square_(), 1 - BETA2)
            slope = mean / (1 - BETA1**step)
            spread = (square / (1 - BETA2**step)).sqrt_().add_(TINY)
            x_adv = project(x_adv - self.learning_rate * slope / spread, x, self.eps)
            looks = step % found.steps_between_looks == 0
            if not self.target.randomised or step == self.steps or (looks and self.target.knows_what_fell):
                found.spend(self.target.votes)
                found.meet(x_adv, self.target.scores(x_adv), step)
            if looks:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv, mean, square = (tensor[kept] for tensor in (x, y, x_adv, mean, square))
                report(step, self.steps, len(x))
                if len(x) == 0:
                    break
        return found

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
        return CLIP[0] + self.delta, CLIP[1] - self.delta

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
