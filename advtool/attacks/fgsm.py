"""FGSM, the fast gradient sign method (Goodfellow, Shlens and Szegedy 2014)."""

import torch
from torch import Tensor

from advtool.attacks.base import Found, StepReport, TensorAttack


class FGSM(TensorAttack):
    """One step of length eps along the gradient; in L-infinity ``x + eps * sign(grad_x L)``, clipped."""

    attack_params = ["eot"]
    one_step = True

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        del generator
        _, gradient = self.target.scores_and_gradient(x, y, eot=self.eot)
        report(1, 1, len(x))
        x_adv = self.threat_model.step(x, gradient, self.threat_model.eps)
        return Found.at_once(self.threat_model.project(x_adv, x), step=1, queries=self.eot)
