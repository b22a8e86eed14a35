"""PGD on other losses than cross entropy, whose gradient in float32 vanishes once the margin passes about 17."""

from advtool.attacks.losses import tempered_cross_entropy
from advtool.attacks.pgd import PGD
from advtool.target.scores import negative_margin


class MarginPGD(PGD):
    """PGD that climbs the best other logit minus the true one (Carlini and Wagner 2017)."""

    name = "pgd-margin"
    loss = staticmethod(negative_margin)
    fewer_draws = 4


class TemperedPGD(PGD):
    """PGD on the cross entropy of logits divided by a temperature: no scale of the logits flattens it."""

    name = "pgd-temperature"
    loss = staticmethod(tempered_cross_entropy)
    fewer_draws = 4
