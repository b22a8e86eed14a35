"""APGD towards one other class after the other (Croce and Hein 2020, section 4.2)."""

import torch
from torch import Tensor

from advtool.attacks.apgd import APGD
from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer
from advtool.target.target import Target
from advtool.threat import ThreatModel


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
        target: the model under attack.
        threat_model: what the attacker may do.
        steps: gradient steps for each target.
        targets: classes tried, the likeliest first; at most all others.
        finalists: of these, the classes that get all the steps, for each image those which a fifth of the steps
            brings nearest; None takes every one.
        eot: draws that a gradient averages over; None takes the run's.
    """

    attack_params = ["steps", "targets", "finalists", "eot"]

    def __init__(
        self,
        target: Target,
        threat_model: ThreatModel,
        *,
        steps: int = 100,
        targets: int = 9,
        finalists: int | None = None,
        eot: int | None = None,
    ) -> None:
        super().__init__(target, threat_model, eot=eot)
        self.steps = positive_integer("apgd-targeted", "steps", steps)
        self.targets = min(positive_integer("apgd-targeted", "targets", targets), self.target.classes - 1)
        self.finalists = None if finalists is None else positive_integer("apgd-targeted", "finalists", finalists)

    @property
    def most_queries(self) -> int:
        passes = self.targets * self.steps
        if self.finalists is not None and self.finalists < self.targets:
            passes = self.targets * max(1, self.steps // 5) + self.finalists * self.steps
        return int(passes * self.eot)

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        found.spend(self.target.votes)
        others = self.target.scores(x).scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
        others = others[:, : self.targets]
        if self.finalists is not None and self.finalists < self.targets:
            scores = self._climb(max(1, self.steps // 5), x, y, others, found, generator, report)
            others = others.gather(1, scores.argsort(1))[:, : self.finalists]
        self._climb(self.steps, x, y, others, found, generator, report)
        return found

    def _climb(
        self,
        steps: int,
        x: Tensor,
        y: Tensor,
        others: Tensor,
        found: Candidates,
        generator: torch.Generator,
        report: StepReport,
    ) -> Tensor:
        """A start towards each of the classes ``others`` (N, T); the lowest margin met on each way, (N, T)."""
        apgd = APGD(self.target, self.threat_model, steps=steps, eot=self.eot)
        scores = torch.full(others.shape, torch.inf, device=x.device)
        count = others.shape[1]
        for first, beside, images in found.rounds(count, self.eot):
            place = first + torch.arange(len(images), device=x.device) // len(found.rows)
            goal = torch.stack((y[images], others[images, place]), 1)
            loss = targeted_difference_of_logits_ratio
            apgd.climb(x[images], y[images], goal, loss, beside, generator, report, (first, count))
            scores[images, place] = beside.score
        return scores
