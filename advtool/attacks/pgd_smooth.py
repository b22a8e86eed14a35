"""PGD along a gradient averaged over noised inputs: it sees past a loss surface that is rough at small scales."""

import torch
from torch import Tensor

from advtool.attacks.base import Guide
from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.parameters import Parameter, positive_integer, positive_number
from advtool.attacks.pgd import PGD


class SmoothPGD(PGD):
    """PGD along a gradient averaged over noised copies of the image.

    The noise of the ``samples`` copies is Gaussian. The mean is the gradient of the loss convolved with the Gaussian.
    The noised copies may leave the clip range.

    Source: advtool's own; the loss is :func:`advtool.attacks.losses.tempered_cross_entropy`.
    """

    name = "pgd-smooth"
    guide = Guide.smoothed_gradient
    loss = staticmethod(tempered_cross_entropy)
    fewer_draws, fewest_draws = 20, 1  # each of the copies brings draws of its own

    samples = Parameter(positive_integer, 20)
    """copies a step; of a random model each averages over ``eot`` draws"""
    deviation = Parameter(
        positive_number, derive=lambda pgd: min(pgd.threat_model.eps / 3, 0.1), derived="eps / 3, at most 0.1"
    )
    """of the noise, a fraction of the pixel range"""

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
