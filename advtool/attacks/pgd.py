"""PGD, projected gradient descent in the L-infinity ball (Madry et al. 2018)."""

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, StepReport, TensorAttack, positive_integer, positive_number
from advtool.attacks.estimator import EOTClassifier, margin
from advtool.perturbation import project, random_start, sign_step

STEPS_BETWEEN_LOOKS = 5
"""Asking which images have fallen makes the host wait for the device, so it is not asked at every step."""


class PGD(TensorAttack):
    """Signed gradient steps from a random start inside the ball, projected after each.

    Of all the points on its way the one of lowest margin is returned: at no cost, since every gradient needs
    the forward pass that tells the margin. Images that have fallen are dropped now and then. Of a randomised
    model only the last points of the starts compete: the luckiest of many noisy margins is no better point.

    Args:
        estimator: the model under attack.
        eps: radius of the ball, a fraction of the pixel range.
        steps: gradient steps a start.
        step_size: default 2 eps / steps, so that every point of the ball is within reach (Schwinn et al., 4.3).
        restarts: random starts; a later one attacks only the images that still stand.
    """

    attack_params = ["eps", "steps", "step_size", "restarts"]

    def __init__(
        self,
        estimator: EOTClassifier,
        *,
        eps: float,
        steps: int = 50,
        step_size: float | None = None,
        restarts: int = 1,
    ) -> None:
        super().__init__(estimator, eps=eps)
        self.steps = positive_integer("pgd", "steps", steps)
        self.step_size = positive_number("pgd", "step_size", 2 * eps / steps if step_size is None else step_size)
        self.restarts = positive_integer("pgd", "restarts", restarts)

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Tensor:
        found = Candidates(x, droppable=not self.estimator.randomised)
        for restart in range(self.restarts):
            found.drop_fallen(at_least=0)
            if len(found.rows):
                self._climb(x[found.rows], y[found.rows], found, generator, report, restart)
        return found.x

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
        x_adv = random_start(x, self.eps, generator)
        for step in range(1, self.steps + 1):
            scores, gradient = self.estimator.scores_and_gradient(x_adv, y)
            if not self.estimator.randomised:
                found.update(x_adv, margin(scores, y))
            x_adv = project(sign_step(x_adv, gradient, self.step_size), x, self.eps)
            if step % STEPS_BETWEEN_LOOKS == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y, x_adv = x[kept], y[kept], x_adv[kept]
                report(restart * self.steps + step, self.restarts * self.steps, len(x))
                if len(x) == 0:
                    return
        found.update(x_adv, margin(self.estimator.scores(x_adv), y))
