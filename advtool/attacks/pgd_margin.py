"""PGD on the margin: its gradient does not vanish where the softmax rounds to 1 (Carlini and Wagner 2017)."""

from torch import Tensor

from advtool.attacks.estimator import margin
from advtool.attacks.pgd import PGD


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best other logit minus that of the true class, (N,)."""
    return -margin(logits, labels)


class MarginPGD(PGD):
    """:class:`PGD` that climbs the best other logit minus the true one; see there for the arguments.

    Cross entropy in float32 has no gradient once the margin passes about 17, whatever the model's scale.
    """

    loss = staticmethod(negative_margin)
