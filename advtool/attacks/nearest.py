"""The nearest adversarial example of each image, in a ball of its own that shrinks with every success."""

import math

import torch
from torch import Tensor

from advtool.attacks.apgd import with_momentum
from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.losses import difference_of_logits_ratio, targeted_difference_of_logits_ratio
from advtool.attacks.parameters import Parameter, factor, positive_integer
from advtool.target.scores import BARELY_FALLEN, Loss, judged_margin, margin, per_image_cross_entropy, predictions
from advtool.target.target import Target
from advtool.threat import NORMS, ThreatModel

APPROACH = 60
"""Gradient steps that look for a first example."""
FIRST_RADIUS = 0.01
"""The least radius of the approach at first, as a share of the largest."""
FIRST_CHANGE, LAST_CHANGE = 0.3, 0.05
"""By this share the ball grows or shrinks in a step of the approach, at first and at last."""
MOST_SHRINKING = 0.1
"""A round looks halfway between what failed and what succeeded, but by no larger share below what succeeded."""
SHRINKING = 0.01
"""By this share a round shrinks the ball below each example that it meets."""
LAST_STEP = 0.01
"""The steps of a round begin at the radius of the ball and end at this share of it."""
SQUEEZES = 3
"""How often the example of a round is projected into a smaller ball, by bisection, without a gradient."""
CLEAR = 1e-5
"""An example counts in the search if the true class is behind by this share of the largest logit: another batch may
round otherwise."""

CLEAR_OF_NOISE = 0.25
"""Of a random model: if the true class's mean probability is behind by so much. The votes reject luckier points."""

OUTWARDS, OUTWARD = 4, 1.2
"""A rejected point of a random model is led away from its image so often, each time to so many times its distance."""


class Nearest(TensorAttack):
    """The nearest adversarial example, in ever smaller balls.

    It bisects the radius of each image's own ball, from the nearest example so far, projected into the smaller ball.

    The approach is after FMN (Pintor et al. 2021, Algorithm 1): the ball grows while no example is met, and shrinks
    below each that is met. Four things differ. It climbs the difference of logits ratio instead of the difference. The
    linear estimate of the distance gives only the first radius. A step is the norm's steepest, and its length is a
    share of the radius. The ball never grows beyond the nearest example, and shrinks by a share below it.

    Each round then looks halfway between the largest ball that it searched in vain and the smallest that holds an
    example. Within a round too the ball shrinks below each example. The model itself confirms the nearest example of a
    round, a random model by two sets of votes. The nearest confirmed is the candidate.

    With a ``reach`` above 1 it comes from outside: an example beyond the ball leads along the boundary into it, where
    searches from the image itself get stuck. So does FAB (Croce and Hein 2020, "Minimally distorted adversarial
    examples with a fast adaptive boundary attack").

    Source: advtool's own; the approach is after Algorithm 1 of Pintor et al. 2021, "Fast minimum-norm adversarial
    attacks through adaptive norm constraints", arXiv 2102.12827.
    """

    name = "nearest"
    guide = Guide.gradient
    starts_at_random = True

    rounds = Parameter(positive_integer, 18)
    """searches of each image after the approach"""
    steps = Parameter(positive_integer, 50)
    """gradient steps of a round"""
    reach = Parameter(factor, 1.0)
    """it searches balls up to so many times the eps of the threat model; what it finds beyond eps does not count"""

    @property
    def _largest_eps(self) -> float:
        return NORMS[self.threat_model.norm].largest_eps

    @property
    def most_queries(self) -> int:
        return (APPROACH + self.rounds * (self.steps + SQUEEZES)) * self.eot

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """It is too dear for a random model, as the search that doubles is."""
        del x, y
        return self.target.randomised

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        wide = self.threat_model.with_eps(min(self.reach * self.threat_model.eps, self._largest_eps))
        balls = _Balls(self.target, wide, self.eot, x, y, found)
        total = APPROACH + self.rounds * self.steps
        self._approach(balls)
        others = self.target.scores(x).scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
        found.spend(self.target.votes)
        for number in range(self.rounds):
            report(APPROACH + number * self.steps, total, int((~balls.broken).sum()))
            radius = balls.between()
            start = balls.best if number % 2 == 0 else balls.random_points(radius, generator)
            self._climb(balls, radius, start, *_aim(number, y, others))
            balls.close(radius)
        found.take(self.threat_model.project(balls.best, x), balls.best_step)

    def _approach(self, balls: "_Balls") -> None:
        """The ball begins where a linear model would reach the boundary."""
        x_adv, radius = balls.x.clone(), None
        for step in range(APPROACH):
            scores, gradient = balls.slope(x_adv, difference_of_logits_ratio, balls.y)
            fooled = balls.meet(x_adv, scores)
            if radius is None:
                radius = balls.to_boundary(scores, gradient)
            change = _cosine(FIRST_CHANGE, LAST_CHANGE, step, APPROACH)
            smaller = torch.minimum(radius, balls.met_at) * (1 - change)
            larger = torch.minimum(radius * (1 + change), torch.minimum(balls.met_at, balls.reach))
            radius = torch.where(fooled, smaller, larger)
            size = radius * _cosine(1.0, LAST_CHANGE, step, APPROACH)
            x_adv = balls.project(self.threat_model.step(x_adv, gradient, size), radius)
        balls.close(torch.zeros_like(balls.reach))

    def _climb(self, balls: "_Balls", radius: Tensor, start: Tensor, loss: Loss, goal: Tensor) -> None:
        """One round, in a ball of ``radius`` (N,) around each image: steepest steps with momentum, ever shorter."""
        x_adv = x_before = balls.project(start, radius)
        for step in range(self.steps):
            scores, gradient = balls.slope(x_adv, loss, goal)
            fooled = balls.meet(x_adv, scores)
            radius = torch.where(fooled, torch.minimum(radius, balls.met_at) * (1 - SHRINKING), radius)
            size = radius * _cosine(1.0, LAST_STEP, step, self.steps)
            z = balls.project(self.threat_model.step(x_adv, gradient, size), radius)
            ahead = with_momentum(z, x_adv, x_before, first=step == 0)
            x_before, x_adv = x_adv, balls.project(ahead, radius)


def _aim(number: int, y: Tensor, others: Tensor) -> tuple[Loss, Tensor]:
    """What round ``number`` climbs, and its goal: in turn the ratio, cross entropy, and one other class each."""
    if number % 3 == 0:
        return difference_of_logits_ratio, y
    if number % 3 == 1:
        return per_image_cross_entropy, y
    target = others[:, (number // 3) % (others.shape[1] - 1)]
    return targeted_difference_of_logits_ratio, torch.stack((y, target), 1)


def _cosine(first: float, last: float, step: int, steps: int) -> float:
    """From ``first`` to ``last`` along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2


class _Balls:
    """The balls of N images: how large one is known to hold an example, and how large one was searched in vain."""

    def __init__(
        self, target: Target, threat_model: ThreatModel, eot: int, x: Tensor, y: Tensor, found: Candidates
    ) -> None:
        self.target, self.threat_model, self.eot, self.x, self.y, self.found = target, threat_model, eot, x, y, found
        self.best = x.clone()
        """the nearest confirmed example (N, C, H, W); the image itself if there is none"""
        self.broken = torch.zeros_like(y, dtype=torch.bool)
        self.reach = torch.full_like(y, threat_model.eps, dtype=torch.float32)
        """the smallest radius that holds a confirmed example; the threat model's while there is none"""
        self.failed = torch.zeros_like(self.reach)
        """the largest radius, at most ``reach``, that a round searched in vain"""
        self.met = x.clone()
        """the nearest example since the last look by the model itself (N, C, H, W)"""
        self.met_at = torch.full_like(self.reach, math.inf)
        """its distance, or that of the best; infinite if there is none"""
        self.step = -1
        """the number of the last gradient"""
        self.best_step, self.met_step = torch.zeros_like(y), torch.zeros_like(y)
        """at which step each of them was met, (N,)"""

    def between(self) -> Tensor:
        """The radius for the next round (N,)."""
        middle = torch.maximum((self.failed + self.reach) / 2, self.reach * (1 - MOST_SHRINKING))
        return torch.where(self.broken, middle, self.reach)

    def random_points(self, radius: Tensor, generator: torch.Generator) -> Tensor:
        """A point of each image's ball of ``radius`` (N,): one of the threat model's ball, drawn nearer."""
        way = self.threat_model.random_point(self.x, generator) - self.x
        return self.x + (radius / self.threat_model.eps).view(-1, 1, 1, 1) * way

    def project(self, x_adv: Tensor, radius: Tensor) -> Tensor:
        """The nearest points in the images' balls of ``radius`` (N,)."""
        return self.threat_model.project(x_adv, self.x, radius)

    def slope(self, x_adv: Tensor, loss: Loss, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and the gradient of the loss there."""
        self.step += 1
        self.found.spend(self.eot)
        return self.target.scores_and_gradient(x_adv, goal, loss, eot=self.eot)

    def to_boundary(self, scores: Tensor, gradient: Tensor) -> Tensor:
        """How far the boundary is by a linear model, (N,): FMN's first radius."""
        unit = self.threat_model.step(torch.zeros_like(gradient), gradient, 1.0)
        slope = (unit * gradient).flatten(1).sum(1)
        loss = difference_of_logits_ratio(scores, self.y)
        least = FIRST_RADIUS * self.threat_model.eps
        return (loss.abs() / slope.clamp_min(1e-12)).clamp(least, self.threat_model.eps)

    def meet(self, x_adv: Tensor, scores: Tensor) -> Tensor:
        """The search is at ``x_adv``: which images are fooled there, bool (N,)."""
        if self.target.randomised:
            fooled = (margin(scores.softmax(1), self.y) < -CLEAR_OF_NOISE) | (predictions(scores) < 0)
        else:
            margins = judged_margin(scores, self.y)
            fooled = (margins < -CLEAR * scores.abs().amax(1)) | (margins == BARELY_FALLEN)
        distance = self.threat_model.distance(x_adv, self.x).float()
        nearer = fooled & (distance < self.met_at)
        self.met_at = torch.where(nearer, distance, self.met_at)
        self.met_step = torch.where(nearer, self.step, self.met_step)
        self.met = torch.where(nearer.view(-1, 1, 1, 1), x_adv, self.met)
        return fooled

    def close(self, radius: Tensor) -> None:
        """A round in balls of ``radius`` (N,) is over: its examples are squeezed, and the model itself judges them."""
        if not self.target.randomised:  # a single draw tells little
            self._squeeze()
        bound = torch.where(self.broken, self.reach, math.inf)
        nearer = self._confirmed(self.met_at < bound)
        for _ in range(OUTWARDS if self.target.randomised else 0):
            rejected = (self.met_at < bound) & ~nearer
            self._move_outwards(rejected)
            nearer |= self._confirmed(rejected & (self.met_at < bound))
        self.best = torch.where(nearer.view(-1, 1, 1, 1), self.met, self.best)
        self.best_step = torch.where(nearer, self.met_step, self.best_step)
        self.reach = torch.where(nearer, self.met_at, self.reach)
        self.broken |= nearer
        self.failed = torch.where(nearer, self.failed, torch.maximum(self.failed, radius)).minimum(self.reach)
        self.met, self.met_step = self.best.clone(), self.best_step.clone()
        self.met_at = torch.where(self.broken, self.reach, math.inf)

    def _squeeze(self) -> None:
        """Project each example into smaller balls, as far as it stays one, by bisection."""
        base, low, high = self.met, self.met_at * (1 - MOST_SHRINKING), self.met_at
        for _ in range(SQUEEZES):
            middle = (low + high) / 2
            points = self.project(base, middle)
            self.found.spend(1)
            fooled = self.meet(points, self.target.search_logits(points))
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)

    def _move_outwards(self, rows: Tensor) -> None:
        """Lead the points of ``rows`` (N,) farther from their images: luck at the boundary has chosen them."""
        farther = self.project(self.x + OUTWARD * (self.met - self.x), self.reach)
        self.met = torch.where(rows.view(-1, 1, 1, 1), farther, self.met)
        self.met_at = torch.where(rows, self.threat_model.distance(self.met, self.x).float(), self.met_at)

    def _confirmed(self, asked: Tensor) -> Tensor:
        """Which of the examples that ``asked`` (N,) names the model itself misclassifies, bool (N,)."""
        wrong = asked.clone()
        for _ in range(2 if self.target.randomised else 1):
            rows = wrong.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            self.found.queries[rows] += self.target.votes
            points, labels = self.met[rows], self.y[rows]
            if self.target.randomised and self.target.knows_what_fell:
                wrong[rows] = self.target.surely_wrong(points, labels)
            else:
                wrong[rows] = predictions(self.target.scores(points)) != labels
        return wrong
