"""APGD towards one other class after the other (Croce and Hein 2020, section 4.2)."""

import torch
from torch import Tensor

from advtool.attacks.apgd import APGD
from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import targeted_difference_of_logits_ratio
from advtool.attacks.parameters import Parameter, or_none, positive_integer


class TargetedAPGD(TensorAttack):
    """:class:`APGD` on the targeted ratio, for the classes that come nearest on the clean image."""

    name = "apgd-targeted"
    guide = Guide.gradient
    fewer_draws = APGD.fewer_draws

    steps = Parameter(positive_integer, 100)
    """gradient steps for each target"""
    targets = Parameter(positive_integer, 9)
    """classes tried, the likeliest first; at most all others"""
    finalists = Parameter(or_none(positive_integer))
    """how many targets get all the steps; for each image a fifth of the steps finds the nearest ones. None: all do"""

    def _check_params(self) -> None:
        """ART's hook, called after each change: there are no more targets than other classes."""
        self.targets = min(self.targets, self.target.classes - 1)

    @property
    def most_queries(self) -> int:
        passes = self.targets * self.steps
        if self.finalists is not None and self.finalists < self.targets:
            passes = self.targets * max(1, self.steps // 5) + self.finalists * self.steps
        return int(passes * self.eot)

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        found.spend(self.target.votes)
        others = self.target.scores(x).scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
        others = others[:, : self.targets]
        if self.finalists is not None and self.finalists < self.targets:
            scores = self._climb(max(1, self.steps // 5), x, y, others, found, generator, report)
            others = others.gather(1, scores.argsort(1))[:, : self.finalists]
        self._climb(self.steps, x, y, others, found, generator, report)

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
