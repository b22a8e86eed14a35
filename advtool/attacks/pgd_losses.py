"""PGD on other losses than cross entropy, whose gradient in float32 vanishes once the margin passes about 17."""

from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.pgd import PGD
from advtool.target.scores import negative_margin


class MarginPGD(PGD):
    """PGD that climbs the best other logit minus the true one.

    Source: Carlini and Wagner 2017, "Towards evaluating the robustness of neural networks", the untargeted form of f_6
    in section V-A, arXiv 1608.04644.
    """

    name = "pgd-margin"
    loss = staticmethod(negative_margin)
    fewer_draws = 4


class TemperedPGD(PGD):
    """PGD on logits that are scaled down, so the loss is not flat.

    The loss is the cross entropy of the logits divided by a temperature.

    Source: advtool's own; the loss is :func:`advtool.attacks.losses.tempered_cross_entropy`.
    """

    name = "pgd-temperature"
    loss = staticmethod(tempered_cross_entropy)
    fewer_draws = 4
