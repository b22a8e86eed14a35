"""Square: random search with squares of the ball's corners (Andriushchenko et al. 2020), without gradients."""

import math

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack, positive_integer, positive_number
from advtool.attacks.estimator import EOTClassifier, margin
from advtool.errors import InputError
from advtool.perturbation import CLIP

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of a budget of 10,000, after which the area of the squares is halved."""
QUERIES_BETWEEN_LOOKS = 25


class Square(TensorAttack):
    """Sets one random square of each image to a corner of the ball, and keeps it if the margin falls.

    Starts from vertical stripes. A randomised model's margin is a mean over ``eot`` draws.

    Args:
        estimator: the model under attack.
        eps: radius of the ball, a fraction of the pixel range.
        queries: points tried for each image.
        area: share of the image that the first squares cover (p of the paper).
        eot: draws that each margin averages over; None takes the run's.
    """

    attack_params = ["eps", "queries", "area", "eot"]

    def __init__(
        self, estimator: EOTClassifier, *, eps: float, queries: int = 1000, area: float = 0.8, eot: int | None = None
    ) -> None:
        super().__init__(estimator, eps=eps, eot=eot)
        self.queries = positive_integer("square", "queries", queries)
        self.area = positive_number("square", "area", area)
        if self.area > 1:
            raise InputError(f"square: area={area!r} must be at most 1: it is a share of the image")

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, droppable=not self.estimator.randomised)
        best = self._corners(x, _signs((len(x), x.shape[1], 1, x.shape[3]), generator))
        self._try(best, y, found, 0)
        for query in range(1, self.queries):
            side = self._side(query, x.shape[2], x.shape[3])
            window = _windows(x, side, generator)
            corners = self._corners(x, _signs((len(x), x.shape[1], 1, 1), generator))
            self._try(torch.where(window, corners, found.x[found.rows]), y, found, query)
            if query % QUERIES_BETWEEN_LOOKS == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y = x[kept], y[kept]
                report(query, self.queries, len(x))
                if len(x) == 0:
                    break
        return found

    def _corners(self, x: Tensor, signs: Tensor) -> Tensor:
        return (x + self.eps * signs).clamp_(*CLIP)

    def _try(self, x: Tensor, y: Tensor, found: Candidates, query: int) -> None:
        draws = [margin(self.estimator.logits(x), y) for _ in range(self.eot)]
        found.spend(self.eot)
        found.update(x, torch.stack(draws).mean(0), query)

    def _side(self, query: int, height: int, width: int) -> int:
        """Of the square: its area begins at ``area`` of the image and is halved as the budget is used up."""
        halvings = sum(query * 10_000 // self.queries > at for at in HALVINGS)
        return min(height, width, max(1, round(math.sqrt(self.area / 2**halvings * height * width))))


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator, device=generator.device).float().mul_(2).sub_(1)


def _windows(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Where a random square of each image (N, C, H, W) lies, bool (N, 1, H, W)."""
    count, _, height, width = x.shape
    top = torch.randint(0, height - side + 1, (count, 1, 1, 1), generator=generator, device=x.device)
    left = torch.randint(0, width - side + 1, (count, 1, 1, 1), generator=generator, device=x.device)
    row = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    column = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    return (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
