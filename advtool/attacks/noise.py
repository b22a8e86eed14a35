"""Random noise, no attack at all: what falls to it needed no adversary."""

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer
from advtool.target.target import Target
from advtool.threat import ThreatModel


class Noise(TensorAttack):
    """The worst of a few random points: uniform ones of the ball, and of its surface in turn.

    Args:
        target: the model under attack.
        threat_model: what the attacker may do.
        samples: points tried for each image.
        eot: draws that each margin averages over; None takes the run's.
    """

    follows_gradient = False
    attack_params = ["samples", "eot"]

    def __init__(self, target: Target, threat_model: ThreatModel, *, samples: int = 10, eot: int | None = None) -> None:
        super().__init__(target, threat_model, eot=eot)
        self.samples = positive_integer("noise", "samples", samples)

    @property
    def most_queries(self) -> int:
        return self.samples * self.eot

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        for sample in range(self.samples):
            point = self.threat_model.random_point(x, generator)
            if sample % 2:
                far = self.threat_model.step(x, point - x, self.threat_model.eps)
                point = self.threat_model.project(far, x)
            found.spend(self.eot)
            found.update(point, self.noisy_margins(point, y), sample)
            report(sample + 1, self.samples, len(x))
        return found
