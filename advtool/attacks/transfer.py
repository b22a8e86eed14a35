"""Transfer: what breaks a surrogate, tried on the model; a defence that hides its gradients hides them from itself."""

from typing import Any

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.parameters import Parameter, positive_integer
from advtool.target.target import Target
from advtool.threat import ThreatModel

STEPS_BETWEEN_TRIES = 5


class Transfer(TensorAttack):
    """PGD on another model (``--surrogate``), tried on this one.

    Of every fifth point on the way, and the last, the worst for the model under attack is returned. That model is only
    asked for its scores. A random surrogate's gradients average over its own draws.

    Source: Papernot, McDaniel and Goodfellow 2016, "Transferability in machine learning", arXiv 1605.07277.

    Args:
        target: the model under attack.
        threat_model: what the attacker may do.
        surrogate: the model whose gradients are followed, with the same input shape and classes.
        parameters: ``steps`` and ``eot``.
    """

    name = "transfer"
    guide = Guide.surrogate

    steps = Parameter(positive_integer, 50)
    """gradient steps of 2 eps / steps"""

    def __init__(self, target: Target, threat_model: ThreatModel, *, surrogate: Target, **parameters: Any) -> None:
        super().__init__(target, threat_model, **parameters)
        self.surrogate = surrogate

    @property
    def most_queries(self) -> int:
        return -(-self.steps // STEPS_BETWEEN_TRIES) * self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        x_adv = self.threat_model.random_point(x, generator)
        size = 2 * self.threat_model.eps / self.steps
        for step in range(1, self.steps + 1):
            _, gradient = self.surrogate.scores_and_gradient(x_adv, y, tempered_cross_entropy)
            x_adv = self.threat_model.project(self.threat_model.step(x_adv, gradient, size), x)
            if step % STEPS_BETWEEN_TRIES == 0 or step == self.steps:
                found.spend(self.eot)
                found.update(x_adv, self.noisy_margins(x_adv, y), step)
                report(step, self.steps, len(x))
