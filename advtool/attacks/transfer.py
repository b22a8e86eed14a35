"""Transfer: what breaks a surrogate, tried on the model; a defence that hides its gradients hides them from itself."""

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer
from advtool.attacks.pgd_temperature import tempered_cross_entropy
from advtool.target.target import Target
from advtool.threat import ThreatModel

STEPS_BETWEEN_TRIES = 5


class Transfer(TensorAttack):
    """PGD on the surrogate to its last step; of the points on the way the worst for the model is returned.

    Args:
        target: the model under attack; only asked for its scores.
        threat_model: what the attacker may do.
        surrogate: the model whose gradients are followed, with the same input shape and classes.
        steps: gradient steps of 2 eps / steps.
        eot: draws that each margin averages over; None takes the run's. A random surrogate's gradients average
            over its own.
    """

    attack_params = ["steps", "eot"]

    def __init__(
        self,
        target: Target,
        threat_model: ThreatModel,
        *,
        surrogate: Target,
        steps: int = 50,
        eot: int | None = None,
    ) -> None:
        super().__init__(target, threat_model, eot=eot)
        self.surrogate = surrogate
        self.steps = positive_integer("transfer", "steps", steps)

    @property
    def most_queries(self) -> int:
        return self.steps * self.eot

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        x_adv = self.threat_model.random_point(x, generator)
        size = 2 * self.threat_model.eps / self.steps
        for step in range(1, self.steps + 1):
            _, gradient = self.surrogate.scores_and_gradient(x_adv, y, tempered_cross_entropy)
            x_adv = self.threat_model.project(self.threat_model.step(x_adv, gradient, size), x)
            if step % STEPS_BETWEEN_TRIES == 0 or step == self.steps:
                found.spend(self.eot)
                found.update(x_adv, self.noisy_margins(x_adv, y), step)
                report(step, self.steps, len(x))
        return found
