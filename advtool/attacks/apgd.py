"""APGD, PGD with a step size and a momentum that look after themselves (Croce and Hein 2020, Algorithm 1)."""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack, part_of
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import difference_of_logits_ratio, negative_probability_margin
from advtool.attacks.parameters import Parameter, one_of, positive_integer
from advtool.target.scores import Loss, per_image_cross_entropy
from advtool.threat import ThreatModel

MOMENTUM = 0.75
"""Weight of the new step; the rest goes to the last step (alpha of the paper)."""
MIN_SHARE_OF_RISES = 0.75
"""A checkpoint halves the step size if the loss rose in a smaller share of the steps since the last one."""

LOSSES: dict[str, Loss] = {
    "ce": per_image_cross_entropy,
    "dlr": difference_of_logits_ratio,
    "pma": negative_probability_margin,
}


class APGD(TensorAttack):
    """PGD with momentum; it halves its steps where the loss stalls.

    The first step is 2 eps. Where the loss stops rising, the search goes back to the best point so far.

    Source: Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", Algorithm 1 and equation 6 (dlr), arXiv 2003.01690; Xie et al. 2024 (pma), arXiv
    2411.15210.
    """

    name = "apgd"
    guide = Guide.gradient
    starts_at_random = True
    fewer_draws = 5  # its steps shrink, so that the noise of a gradient averages out over the steps

    loss = Parameter(one_of(LOSSES), "ce")
    """``ce``, cross entropy; ``dlr``, the difference of logits ratio; ``pma``, the margin of probabilities"""
    steps = Parameter(positive_integer, 100)
    """gradient steps a start"""
    restarts = Parameter(positive_integer, 1)
    """random starts; a later one attacks only the images that still stand"""

    @property
    def most_queries(self) -> int:
        return self.restarts * self.steps * self.eot

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        for first, beside, images in found.rounds(self.restarts, queries=self.eot, steps=self.steps):
            own = part_of(report, before=first, share=1, total=self.restarts)
            self.climb(x[images], y[images], y[images], LOSSES[self.loss], beside, generator, own)

    def climb(
        self,
        x: Tensor,
        y: Tensor,
        goal: Tensor,
        loss: Loss,
        found: Candidates,
        generator: torch.Generator,
        report: StepReport,
    ) -> None:
        """One start for the images ``x`` (M, C, H, W) with labels ``y`` (M,); all images stand in ``found``.

        ``loss`` is given the logits and ``goal``, (M,) or (M, ...).
        """
        at = _Climb.start(self.threat_model.random_point(x, generator), x, y, goal, self.threat_model)
        looks = checkpoints(self.steps)
        since = 0
        for step in range(self.steps + 1):
            value, scores, gradient = self._evaluate(at.x_adv, at.goal, loss)
            found.spend(self.eot)
            found.meet(at.x_adv, scores, step)
            at.note(value, gradient)
            if step in looks:
                at.look(step - since)
                since = step
            at.move(self.threat_model, first=step == 0)
            if step % found.steps_between_looks == 0 and step:
                if (kept := found.drop_fallen()) is not None:
                    at = at.keep(kept)
                report(step, self.steps, found.standing)
                if len(at.y) == 0:
                    return
        if self.target.randomised:
            found.spend(self.target.votes)
            found.meet(at.best, self.target.scores(at.best), self.steps)

    def _evaluate(self, x: Tensor, goal: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
        scores, gradient = self.target.scores_and_gradient(x, goal, loss, eot=self.eot)
        return loss(scores, goal), scores, gradient


@dataclass
class _Climb:
    """Where a start stands, for M images; every field has M rows. Names as in Algorithm 1."""

    x: Tensor
    y: Tensor
    goal: Tensor
    x_adv: Tensor
    x_before: Tensor
    gradient: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    loss: Tensor
    step_size: Tensor
    rises: Tensor
    best_at_look: Tensor
    halved_at_look: Tensor

    @classmethod
    def start(cls, x_adv: Tensor, x: Tensor, y: Tensor, goal: Tensor, threat_model: ThreatModel) -> "_Climb":
        low = torch.full((len(x),), -math.inf, device=x.device)
        return cls(
            x=x,
            y=y,
            goal=goal,
            x_adv=x_adv,
            x_before=x_adv.clone(),
            gradient=torch.zeros_like(x),
            best=x_adv.clone(),
            best_gradient=torch.zeros_like(x),
            best_loss=low,
            loss=torch.full_like(low, math.inf),  # so that the start is no rise
            step_size=torch.full_like(low, 2 * threat_model.eps),
            rises=torch.zeros_like(low),
            best_at_look=low.clone(),
            halved_at_look=torch.ones_like(low, dtype=torch.bool),
        )

    def note(self, loss: Tensor, gradient: Tensor) -> None:
        """The loss and the gradient at ``x_adv``."""
        self.rises += loss > self.loss
        self.loss, self.gradient = loss, gradient
        better = loss > self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best = torch.where(_rows(better), self.x_adv, self.best)
        self.best_gradient = torch.where(_rows(better), gradient, self.best_gradient)

    def look(self, steps: int) -> None:
        """A checkpoint, ``steps`` after the last: conditions 1 and 2 of section 3.1, and the step size they give.

        Condition 2 holds from the second checkpoint on, as in the authors' code.
        """
        stalled = self.rises < MIN_SHARE_OF_RISES * steps
        stuck = ~self.halved_at_look & (self.best_at_look >= self.best_loss)
        halve = stalled | stuck
        self.step_size = torch.where(halve, self.step_size / 2, self.step_size)
        self.x_adv = torch.where(_rows(halve), self.best, self.x_adv)
        self.gradient = torch.where(_rows(halve), self.best_gradient, self.gradient)
        self.halved_at_look, self.best_at_look = halve, self.best_loss
        self.rises = torch.zeros_like(self.rises)

    def move(self, threat_model: ThreatModel, *, first: bool) -> None:
        """``z = P(x + eta s)``, then ``P(x + 0.75 (z - x) + 0.25 (x - x_before))``.

        ``s`` is the steepest step of length 1: in L-infinity the sign of the gradient.
        """
        z = threat_model.project(threat_model.step(self.x_adv, self.gradient, self.step_size), self.x)
        ahead = with_momentum(z, self.x_adv, self.x_before, first=first)
        self.x_before, self.x_adv = self.x_adv, threat_model.project(ahead, self.x)

    def keep(self, places: Tensor) -> "_Climb":
        """The images at ``places`` (K,) alone."""
        return _Climb(**{field.name: getattr(self, field.name)[places] for field in fields(self)})


def with_momentum(z: Tensor, x_adv: Tensor, x_before: Tensor, *, first: bool) -> Tensor:
    """Where a step leads that goes from ``x_adv`` to ``z`` and on in the direction of the last; not projected.

    ``x + 0.75 (z - x) + 0.25 (x - x_before)``; the ``first`` step, which has none before it, leads to ``z``.
    """
    a = 1.0 if first else MOMENTUM
    return x_adv + a * (z - x_adv) + (1 - a) * (x_adv - x_before)


def checkpoints(steps: int) -> set[int]:
    """The steps ``ceil(p_j N)`` at which the step size may be halved: p = 0.22, then gaps of 0.19, 0.16 ... 0.06."""
    p, gap, found = 22, 22, set[int]()  # hundredths: 0.57 * 100 is no 57 in floating point
    while p <= 100:
        found.add(-(-p * steps // 100))
        gap = max(gap - 3, 6)
        p += gap
    return found


def _rows(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
