"""PGD along a gradient averaged over noised inputs: it sees past a loss surface that is rough at small scales."""

import torch
from torch import Tensor

from advtool.attacks.parameters import positive_integer, positive_number
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_temperature import tempered_cross_entropy
from advtool.target.target import Target
from advtool.threat import ThreatModel


class SmoothPGD(PGD):
    """:class:`PGD` whose gradient is the mean over ``samples`` copies of the input with Gaussian noise.

    It is the gradient of the loss convolved with the Gaussian. The noised copies may leave the clip range.

    Args:
        target: the model under attack.
        threat_model: what the attacker may do.
        steps: gradient steps a start.
        step_size: default 2 eps / steps.
        restarts: random starts; a later one attacks only the images that still stand.
        eot: draws of a randomised model's noise for each copy; None takes the run's.
        samples: copies a step.
        deviation: of the noise, a fraction of the pixel range; default eps / 3, at most 0.1.
    """

    attack_params = [*PGD.attack_params, "samples", "deviation"]
    loss = staticmethod(tempered_cross_entropy)

    def __init__(
        self,
        target: Target,
        threat_model: ThreatModel,
        *,
        steps: int = 50,
        step_size: float | None = None,
        restarts: int = 1,
        eot: int | None = None,
        samples: int = 20,
        deviation: float | None = None,
    ) -> None:
        super().__init__(target, threat_model, steps=steps, step_size=step_size, restarts=restarts, eot=eot)
        self.samples = positive_integer("pgd-smooth", "samples", samples)
        small = min(threat_model.eps / 3, 0.1)
        self.deviation = small if deviation is None else positive_number("pgd-smooth", "deviation", deviation)

    def slope(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        gradient = torch.zeros_like(x)
        together = max(1, self.target.batch_size // (len(x) * self.eot))
        for copies in torch.ones(self.samples, dtype=torch.long).split(together):
            shape = (len(copies) * len(x), *x.shape[1:])
            noise = torch.randn(shape, generator=generator, device=x.device).mul_(self.deviation)
            points, labels = x.repeat(len(copies), 1, 1, 1), y.repeat(len(copies))
            slopes = super().slope(points.add_(noise), labels, generator)[1]
            gradient += slopes.view(len(copies), *x.shape).sum(0)
        return self.target.search_logits(x), gradient

    @property
    def queries_a_step(self) -> int:
        return self.samples * self.eot + 1
