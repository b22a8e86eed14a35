"""PGD, projected gradient descent (Madry et al. 2018)."""

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer, positive_number
from advtool.target.scores import Loss, per_image_cross_entropy
from advtool.target.target import Target
from advtool.threat import ThreatModel


class PGD(TensorAttack):
    """Steps along the gradient from a random start inside the ball, projected after each.

    Of all the points on its way the one of lowest margin is returned: at no cost, since every gradient needs
    the forward pass that tells the margin. Images that have fallen are dropped now and then. Of a randomised
    model only the last points of the starts compete, and those that surely fell: the luckiest of many noisy margins is
    no better point.

    Args:
        target: the model under attack.
        threat_model: what the attacker may do.
        steps: gradient steps a start.
        step_size: default 2 eps / steps, so that every point of the ball is within reach (Schwinn et al., 4.3).
        restarts: random starts; a later one attacks only the images that still stand.
        eot: draws that a gradient averages over; None takes the run's.
    """

    attack_params = ["steps", "step_size", "restarts", "eot"]
    loss: Loss = staticmethod(per_image_cross_entropy)
    """What the gradient is of: logits (M, classes) and labels (M,) to (M,)."""

    def __init__(
        self,
        target: Target,
        threat_model: ThreatModel,
        *,
        steps: int = 50,
        step_size: float | None = None,
        restarts: int = 1,
        eot: int | None = None,
    ) -> None:
        super().__init__(target, threat_model, eot=eot)
        self.steps = positive_integer("pgd", "steps", steps)
        reaching = 2 * threat_model.eps / self.steps
        self.step_size = reaching if step_size is None else positive_number("pgd", "step_size", step_size)
        self.restarts = positive_integer("pgd", "restarts", restarts)

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

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        for first, beside, images in found.rounds(self.restarts, self.queries_a_step):
            self._climb(x[images], y[images], beside, generator, report, first)
        return found

    def _climb(
        self,
        x: Tensor,
        y: Tensor,
        found: Candidates,
        generator: torch.Generator,
        report: StepReport,
        restart: int,
    ) -> None:
        """One start: ``steps`` steps for the standing images ``x`` (M, C, H, W)."""
        x_adv = self.threat_model.random_point(x, generator)
        before = restart * self.steps
        for step in range(self.steps):
            scores, gradient = self.slope(x_adv, y, generator)
            found.spend(self.queries_a_step)
            found.meet(x_adv, scores, before + step)
            x_adv = self.threat_model.project(self.threat_model.step(x_adv, gradient, self.step_size), x)
            if (step + 1) % found.steps_between_looks == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv = x[kept], y[kept], x_adv[kept]
                report(before + step + 1, self.restarts * self.steps, len(y))
                if len(y) == 0:
                    return
        found.spend(self.target.votes)
        found.meet(x_adv, self.target.scores(x_adv), before + self.steps)
