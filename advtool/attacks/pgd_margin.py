"""PGD on the margin: its gradient does not vanish where the softmax rounds to 1 (Carlini and Wagner 2017)."""

from advtool.attacks.pgd import PGD
from advtool.target.scores import negative_margin


class MarginPGD(PGD):
    """:class:`PGD` that climbs the best other logit minus the true one; see there for the arguments.

    Cross entropy in float32 has no gradient once the margin passes about 17, whatever the model's scale.
    """

    loss = staticmethod(negative_margin)
