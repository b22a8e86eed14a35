"""APGD towards one other class after the other (Croce and Hein 2020, section 4.2), the nearest borders first (MALT)."""

import torch
from torch import Tensor

from advtool.attacks.apgd import APGD
from advtool.attacks.base import Guide, StepReport, TensorAttack, part_of
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import targeted_difference_of_logits_ratio
from advtool.attacks.parameters import Parameter, or_none, positive_integer
from advtool.attacks.targets import LIKELIEST, Targets


class TargetedAPGD(TensorAttack):
    """APGD towards one class after the other, the nearest first.

    It climbs the targeted ratio, for the classes whose borders are nearest to the clean image. Its cost hardly grows
    with the number of classes: about 1000 passes an image for 1000 of them, 900 for ten; with three finalists 580
    and 480.

    Source: Croce and Hein 2020, section 4.2 and equation 7, arXiv 2003.01690; the choice of classes is that of MALT,
    Melamed, Yehudai and Vardi 2024, arXiv 2407.02240.
    """

    name = "apgd-targeted"
    guide = Guide.gradient
    starts_at_random = True
    goes_towards_classes = True
    fewer_draws = APGD.fewer_draws

    steps = Parameter(positive_integer, 100)
    """gradient steps for each target"""
    targets = Parameter(positive_integer, 9)
    """classes tried, the nearest first; at most all others"""
    malt = Parameter(or_none(positive_integer), LIKELIEST)
    """of so many of the likeliest classes, those are tried whose borders are nearest in the linearised model: a
    gradient for each (MALT). None: the likeliest are tried. No difference if all classes are tried"""
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
        return int((self._targets.measured + passes) * self.eot)

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """On a deterministic model: there the cascade runs ``doubling``, which goes towards every class."""
        del x, y
        return not self.target.randomised

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        others = self._targets.of(x, y, found)
        first_pass = 0
        if self.finalists is not None and self.finalists < self.targets:
            short = max(1, self.steps // 5)
            first_pass, second_pass = self.targets * short, self.finalists * self.steps
            own = part_of(report, before=0, share=first_pass, total=first_pass + second_pass)
            scores = self._climb(short, x, y, others, found, generator, own)
            others = others.gather(1, scores.argsort(1))[:, : self.finalists]
            found.drop_fallen(at_least=0)
            report = part_of(report, before=first_pass, share=second_pass, total=first_pass + second_pass)
        self._climb(self.steps, x, y, others, found, generator, report, before=first_pass)

    @property
    def _targets(self) -> Targets:
        return Targets(self.target, self.threat_model, self.targets, self.malt, self.eot)

    def _climb(
        self,
        steps: int,
        x: Tensor,
        y: Tensor,
        others: Tensor,
        found: Candidates,
        generator: torch.Generator,
        report: StepReport,
        before: int = 0,
    ) -> Tensor:
        """A start towards each of the classes ``others`` (N, T); the lowest margin met on each way, (N, T).

        ``before`` is the number of steps that went before, towards all of them.
        """
        apgd = APGD(self.target, self.threat_model, steps=steps, eot=self.eot)
        scores = torch.full(others.shape, torch.inf, device=x.device)
        count = others.shape[1]
        for first, beside, images in found.rounds(count, queries=self.eot, steps=steps, before=before):
            place = found.numbers(first, images)
            goal = torch.stack((y[images], others[images, place]), 1)
            loss = targeted_difference_of_logits_ratio
            own = part_of(report, before=first, share=1, total=count)
            apgd.climb(x[images], y[images], goal, loss, beside, generator, own)
            scores[images, place] = beside.score
        return scores
