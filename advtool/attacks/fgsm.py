"""FGSM, the fast gradient sign method (Goodfellow, Shlens and Szegedy 2014)."""

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates


class FGSM(TensorAttack):
    """One step of length eps along the gradient.

    In L-infinity the example is ``x + eps * sign(grad_x L)``, clipped.

    Source: Goodfellow, Shlens and Szegedy 2014, "Explaining and harnessing adversarial examples", section 4, arXiv
    1412.6572.
    """

    name = "fgsm"
    guide = Guide.gradient
    one_step = True

    @property
    def most_queries(self) -> int:
        return self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        del generator
        _, gradient = self.target.scores_and_gradient(x, y, eot=self.eot)
        found.spend(self.eot)
        x_adv = self.threat_model.step(x, gradient, self.threat_model.eps)
        found.take(self.threat_model.project(x_adv, x), step=1)
        report(1, 1, len(x))
