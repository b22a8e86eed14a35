"""SPSA, simultaneous perturbation stochastic approximation (Spall 1992; Uesato et al. 2018): no gradients."""

import torch
from torch import Tensor
from torch.optim.adam import adam

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import Parameter, positive_integer, positive_number
from advtool.attacks.signs import random_signs
from advtool.errors import InputError
from advtool.target.scores import margin

LEARNING_RATE = 0.01
"""A fraction of the pixel range a step."""


class SPSA(TensorAttack):
    """Steps along gradients that are estimated from the scores alone.

    Adam descends the margin; the estimate takes forward passes at antithetic pairs of points.

    For directions ``v`` of random signs the estimate is the mean of ``v (f(x + delta v) - f(x - delta v)) / (2
    delta)``. All images of a batch share the directions. The estimate of each image has the same distribution as with
    directions of its own, the weighted sum of directions is one matrix product, and the search form can share work
    between the points (:meth:`Target.logits_nearby`). The points lie around the nearest image whose
    pixels are delta away from the ends of the clip range, since a model owes no answer outside.

    Adam moves every pixel by about as much, whatever its slope: in another ball than L-infinity this is no ascent.

    Source: Uesato et al. 2018, "Adversarial risk and the dangers of evaluating against weak attacks", arXiv 1802.05666,
    after Spall 1992; the estimate is the formula above.
    """

    name = "spsa"
    guide = Guide.scores
    norms = ("linf",)

    steps = Parameter(positive_integer, 100)
    """Adam steps"""
    samples = Parameter(positive_integer, 128)
    """passes through the model a step, in antithetic pairs; even"""
    learning_rate = Parameter(
        positive_number,
        derive=lambda spsa: max(LEARNING_RATE, 2 * spsa.threat_model.eps / spsa.steps),
        derived=f"{LEARNING_RATE}, or 2 eps / steps if that is more",
    )
    """of Adam, a fraction of the pixel range; by default few steps reach the ball's surface too"""
    delta = Parameter(positive_number, 0.01)
    """distance of the sample points from the image, a fraction of the pixel range"""
    eot = Parameter(positive_integer, 1)
    """draws of a random model's noise that each margin averages over"""

    def _check_params(self) -> None:
        """ART's hook, called after each change."""
        if self.samples % 2:
            raise InputError(f"spsa: samples={self.samples} must be even: they come in antithetic pairs")
        low, high = self.threat_model.clip
        if 2 * self.delta > high - low:
            most = f"at most {(high - low) / 2:g}"
            raise InputError(f"spsa: delta={self.delta!r} must be {most}: both points lie in the clip range")

    @property
    def most_queries(self) -> int:
        return self.steps * self.samples * self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        x_adv, optimiser = x, _Adam(x, self.learning_rate)
        for step in range(1, self.steps + 1):
            gradient = self._estimate(x_adv, y, generator)
            found.spend(self.samples * self.eot)
            x_adv = self.threat_model.project(optimiser.step(x_adv, gradient), x)
            looks = step % found.steps_between_looks == 0
            if not self.target.randomised or step == self.steps or (looks and self.target.knows_what_fell):
                found.spend(self.target.votes)
                found.meet(x_adv, self.target.scores(x_adv), step)
            if looks:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv = x[kept], y[kept], x_adv[kept]
                    optimiser.keep(kept)
                report(step, self.steps, len(x))
                if len(x) == 0:
                    return

    def _estimate(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """The estimated gradient of the margin at ``x``, of the same shape."""
        gradient, pairs = torch.zeros_like(x), self.samples // 2
        centre = x.clamp(*self._room)
        for some in torch.arange(pairs).split(max(1, self.target.batch_size // (2 * len(x)))):
            signs = random_signs((len(some), *x.shape[1:]), generator)
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
        labels = y.repeat(len(directions))
        draws = [margin(self.target.logits_nearby(x, changes).flatten(0, 1), labels) for _ in range(self.eot)]
        return (draws[0] if self.eot == 1 else torch.stack(draws).mean(0)).view(len(directions), len(x))


class _Adam:
    """Adam (Kingma and Ba 2015) on a batch of images, which can drop images.

    It calls the function of torch's optimiser: the optimiser itself would take seconds to import torch's compiler.
    """

    def __init__(self, x: Tensor, learning_rate: float) -> None:
        self.mean, self.square, self.steps = torch.zeros_like(x), torch.zeros_like(x), torch.zeros((), device="cpu")
        self.learning_rate = learning_rate

    def step(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The points after a step from ``x`` down the ``gradient``, both (M, C, H, W)."""
        moved = x.clone()
        adam(
            [moved],
            [gradient],
            [self.mean],
            [self.square],
            [],
            [self.steps],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
        return moved

    def keep(self, places: Tensor) -> None:
        """Go on with the images at ``places`` (K,) alone."""
        self.mean, self.square = self.mean[places], self.square[places]
