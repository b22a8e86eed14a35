"""PGD, projected gradient descent (Madry et al. 2018)."""

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack, part_of
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import Parameter, positive_integer, positive_number
from advtool.target.scores import Loss, per_image_cross_entropy


class PGD(TensorAttack):
    """Many steps along the gradient, from a random start in the ball.

    Each step is projected back into the ball. Of all points on its way PGD returns the one of lowest margin. That costs
    nothing: every gradient needs the forward pass that tells the margin. Images that have fallen are dropped now
    and then. Of a random model the last points of the starts compete, with those points that surely fell: the
    luckiest of many noisy margins is no better point.

    The same PGD on another loss is a subclass with another ``loss`` (:mod:`advtool.attacks.pgd_losses`).

    Source: Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks", section 2.1, arXiv
    1706.06083.
    """

    name = "pgd"
    guide = Guide.gradient
    starts_at_random = True
    loss: Loss = staticmethod(per_image_cross_entropy)
    """what the gradient is of: logits (M, classes) and labels (M,) to (M,)"""

    steps = Parameter(positive_integer, 50)
    """gradient steps a start"""
    step_size = Parameter(
        positive_number, derive=lambda pgd: 2 * pgd.threat_model.eps / pgd.steps, derived="2 eps / steps"
    )
    """a fraction of the pixel range; by default every point of the ball is within reach (Schwinn et al., 4.3)"""
    restarts = Parameter(positive_integer, 1)
    """random starts; a later one attacks only the images that still stand"""

    def slope(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Scores (N, classes) at ``x``, and the direction (N, C, H, W) that the steps follow."""
        del generator
        answer: tuple[Tensor, Tensor] = self.target.scores_and_gradient(x, y, self.loss, eot=self.eot)
        return answer

    @property
    def queries_a_step(self) -> int:
        """Passes through the model for an image and a step."""
        return self.eot

    @property
    def most_queries(self) -> int:
        return self.restarts * self.steps * self.queries_a_step

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """On a random model its constant steps jump about with the noise, however often it starts: APGD's shrink."""
        del x, y
        return self.target.randomised and self.restarts > 1

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        for first, beside, images in found.rounds(self.restarts, queries=self.queries_a_step, steps=self.steps):
            own = part_of(report, before=first, share=1, total=self.restarts)
            self.climb(x[images], y[images], beside, generator, own)

    def climb(
        self,
        x: Tensor,
        y: Tensor,
        found: Candidates,
        generator: torch.Generator,
        report: StepReport,
    ) -> None:
        """A start for each of the images ``x`` (M, C, H, W), all in ``found``."""
        x_adv = self.threat_model.random_point(x, generator)
        size = self.step_size
        for step in range(self.steps):
            scores, gradient = self.slope(x_adv, y, generator)
            found.spend(self.queries_a_step)
            found.meet(x_adv, scores, step)
            x_adv = self.threat_model.project(self.threat_model.step(x_adv, gradient, size), x)
            if (step + 1) % found.steps_between_looks == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv = x[kept], y[kept], x_adv[kept]
                report(step + 1, self.steps, found.standing)
                if len(y) == 0:
                    return
        found.spend(self.target.votes)
        found.meet(x_adv, self.target.scores(x_adv), self.steps)
