"""Random noise, no attack at all: what falls to it needed no adversary."""

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import Parameter, positive_integer


class Noise(TensorAttack):
    """The worst of a few random points around the image.

    The points come in turn from the whole ball (uniform) and from its surface.

    Source: advtool's own; a check that needs no paper.
    """

    name = "noise"
    guide = Guide.nothing

    samples = Parameter(positive_integer, 10)
    """points tried for each image"""

    @property
    def most_queries(self) -> int:
        return self.samples * self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        for sample in range(self.samples):
            point = self.threat_model.random_point(x, generator)
            if sample % 2:
                far = self.threat_model.step(x, point - x, self.threat_model.eps)
                point = self.threat_model.project(far, x)
            found.spend(self.eot)
            found.update(point, self.noisy_margins(point, y), sample)
            report(sample + 1, self.samples, len(x))
