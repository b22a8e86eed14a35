"""FGSM, the fast gradient sign method (Goodfellow, Shlens and Szegedy 2014)."""

import torch
from torch import Tensor

from advtool.attacks.base import Found, StepReport, TensorAttack
from advtool.perturbation import project, sign_step


class FGSM(TensorAttack):
    """One step of size eps along the sign of the gradient: ``x + eps * sign(grad_x L)``, clipped."""

    attack_params = ["eps", "eot"]
    one_step = True

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        del generator
        _, gradient = self.target.scores_and_gradient(x, y, eot=self.eot)
        report(1, 1, len(x))
        return Found.at_once(project(sign_step(x, gradient, self.eps), x, self.eps), step=1, queries=self.eot)
