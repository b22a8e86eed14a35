"""PGD on the cross entropy of logits divided by a temperature, which a large scale of the logits cannot flatten."""

from torch import Tensor

from advtool.attacks.pgd import PGD
from advtool.target.scores import margin, per_image_cross_entropy


def tempered_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of ``logits / T``, (N,): T is the size of each image's margin, at least 1, and held constant.

    So the softmax is never saturated: the true class leads by a scaled margin of 1 at most.
    """
    temperature = margin(logits, labels).detach().abs().clamp_min(1)
    return per_image_cross_entropy(logits / temperature[:, None], labels)


class TemperedPGD(PGD):
    """:class:`PGD` on logits divided by a temperature; see there for the arguments."""

    loss = staticmethod(tempered_cross_entropy)
