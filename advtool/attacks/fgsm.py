"""FGSM, the fast gradient sign method (Goodfellow, Shlens and Szegedy 2014)."""

import torch
from torch import Tensor

from advtool.attacks.base import StepReport, TensorAttack
from advtool.perturbation import project, sign_step


class FGSM(TensorAttack):
    """One step of size eps along the sign of the gradient: ``x + eps * sign(grad_x L)``, clipped."""

    attack_params = ["eps"]
    one_step = True

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Tensor:
        del generator
        _, gradient = self.estimator.scores_and_gradient(x, y)
        report(1, 1, len(x))
        return project(sign_step(x, gradient, self.eps), x, self.eps)
