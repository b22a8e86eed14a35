"""APGD towards one other class after the other (Croce and Hein 2020, section 4.2)."""

import torch
from torch import Tensor

from advtool.attacks.apgd import APGD
from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack, positive_integer
from advtool.attacks.estimator import EOTClassifier


def targeted_difference_of_logits_ratio(logits: Tensor, goal: Tensor) -> Tensor:
    """``-(z_y - z_t) / (z_1 - (z_3 + z_4) / 2)``, (N,) (Croce and Hein 2020, equation 7).

    ``goal`` is int64 (N, 2): the labels y and the targets t. Of fewer than four classes the denominator is left out.
    """
    true, target = logits.gather(1, goal).unbind(1)
    lead = true - target
    if logits.shape[1] < 4:
        return -lead
    top = logits.topk(4, dim=1).values
    return -lead / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)


class TargetedAPGD(TensorAttack):
    """:class:`APGD` on the targeted ratio, for the classes that come nearest on the clean image.

    Args:
        estimator: the model under attack.
        eps: radius of the ball, a fraction of the pixel range.
        steps: gradient steps for each target.
        targets: classes tried, the likeliest first; at most all others.
        eot: draws that a gradient averages over; None takes the run's.
    """

    attack_params = ["eps", "steps", "targets", "eot"]

    def __init__(
        self, estimator: EOTClassifier, *, eps: float, steps: int = 100, targets: int = 9, eot: int | None = None
    ) -> None:
        super().__init__(estimator, eps=eps, eot=eot)
        self.steps = positive_integer("apgd-targeted", "steps", steps)
        self.targets = min(positive_integer("apgd-targeted", "targets", targets), estimator.nb_classes - 1)
        self._apgd = APGD(estimator, eps=eps, steps=self.steps, eot=self.eot)

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, droppable=not self.estimator.randomised)
        found.spend(self.estimator.votes)
        others = self.estimator.scores(x).scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
        for place in range(self.targets):
            found.drop_fallen(at_least=0)
            if len(found.rows):
                goal = torch.stack((y, others[:, place]), 1)
                part = (place, self.targets)
                self._apgd.climb(x, y, goal, targeted_difference_of_logits_ratio, found, generator, report, part)
        return found
