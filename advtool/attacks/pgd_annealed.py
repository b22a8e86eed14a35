"""PGD whose steps shrink, along a mean of past gradients: for random models, whose single gradients are noisy."""

import math

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import Parameter, positive_integer
from advtool.target.scores import Loss, negative_margin, per_image_cross_entropy

MOMENTUM = 0.9
"""Weight of the past in the mean gradient."""
FIRST_STEP = 0.25
"""The size of the first step, a share of eps."""
LOSSES: tuple[Loss, ...] = (per_image_cross_entropy, negative_margin)
"""What the starts climb, in turn."""


class AnnealedPGD(TensorAttack):
    """Many steps of few draws each, in place of few steps of many draws.

    The mean over past gradients, each of length 1, has the draws of about ten steps (momentum; Dong et al. 2018). The
    steps shrink to 0 along a cosine (Loshchilov and Hutter 2017), so that the end does not jump about with the noise,
    as constant steps do. The starts climb cross entropy and the margin in turn.
    """

    name = "pgd-annealed"
    guide = Guide.gradient

    steps = Parameter(positive_integer, 200)
    """gradient steps a start"""
    restarts = Parameter(positive_integer, 2)
    """random starts; a later one attacks only the images that still stand"""
    eot = Parameter(positive_integer, derive=lambda attack: max(1, attack.target.eot // 10))
    """draws of a random model's noise that each gradient averages over; default a tenth of the target's"""

    @property
    def most_queries(self) -> int:
        return self.restarts * self.steps * self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        for start in range(self.restarts):
            if start:
                found.drop_fallen(at_least=0)
            for _, beside, images in found.rounds(1, self.eot):
                self._climb(start, x[images], y[images], beside, generator, report)

    def _climb(
        self, start: int, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport
    ) -> None:
        """Start number ``start`` for the images ``x`` (M, C, H, W); ``found`` holds them all."""
        loss, before = LOSSES[start % len(LOSSES)], start * self.steps
        x_adv, mean = self.threat_model.random_point(x, generator), torch.zeros_like(x)
        for step in range(self.steps):
            scores, gradient = self.target.scores_and_gradient(x_adv, y, loss, eot=self.eot)
            found.spend(self.eot)
            found.meet(x_adv, scores, before + step)
            mean = MOMENTUM * mean + (1 - MOMENTUM) * _of_length_1(gradient)
            x_adv = self.threat_model.project(self.threat_model.step(x_adv, mean, self._size(step)), x)
            if (step + 1) % found.steps_between_looks == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv, mean = x[kept], y[kept], x_adv[kept], mean[kept]
                report(before + step + 1, self.restarts * self.steps, len(y))
                if len(y) == 0:
                    return
        found.spend(self.target.votes)
        found.meet(x_adv, self.target.scores(x_adv), before + self.steps)

    def _size(self, step: int) -> float:
        """The size of a step, from ``FIRST_STEP`` of eps down to nearly 0."""
        return self.threat_model.eps * FIRST_STEP * (1 + math.cos(math.pi * step / self.steps)) / 2


def _of_length_1(gradient: Tensor) -> Tensor:
    """Each gradient (M, C, H, W) divided by the sum of its absolute values; a gradient of 0 stays 0."""
    return gradient / gradient.abs().sum((1, 2, 3), keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
