"""Random noise, no attack at all: what falls to it needed no adversary."""

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer
from advtool.perturbation import CLIP, random_start, sign_step
from advtool.target.target import Target


class Noise(TensorAttack):
    """The worst of a few random points: uniform ones of the ball, and corners of it in turn.

    Args:
        target: the model under attack.
        eps: radius of the ball, a fraction of the pixel range.
        samples: points tried for each image.
        eot: draws that each margin averages over; None takes the run's.
    """

    follows_gradient = False
    attack_params = ["eps", "samples", "eot"]

    def __init__(self, target: Target, *, eps: float, samples: int = 10, eot: int | None = None) -> None:
        super().__init__(target, eps=eps, eot=eot)
        self.samples = positive_integer("noise", "samples", samples)

    @property
    def most_queries(self) -> int:
        return self.samples * self.eot

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        for sample in range(self.samples):
            point = random_start(x, self.eps, generator)
            if sample % 2:
                point = sign_step(x, point - x, self.eps).clamp_(*CLIP)
            found.spend(self.eot)
            found.update(point, self.noisy_margins(point, y), sample)
            report(sample + 1, self.samples, len(x))
        return found
