"""Square: random search with squares of the ball's corners (Andriushchenko et al. 2020), without gradients."""

import math

import torch
from torch import Tensor

from advtool.attacks.base import Guide, StepReport, TensorAttack
from advtool.attacks.candidates import Candidates
from advtool.attacks.parameters import Parameter, or_none, positive_integer, positive_number, share
from advtool.attacks.signs import random_signs

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of a budget of 10,000, after which the area of the squares is halved."""
QUERIES_FOR_ONE_MORE_AT_ONCE = 50
"""With every so many queries a round tries one square more: at first most squares are kept, so few are tried."""
ROUNDS_LIKE_A_GRADIENT_STEP = 5
"""A round costs one pass through the model, a step of a gradient attack a few."""
FIRST_FORECAST = 1 / 8
"""Share of the queries after which, and then at each doubling, the margins forecast which images are within reach."""
MOST_QUERIES_OF_RANDOM_MODELS = 1000
"""In a cascade: each query costs as many passes as there are EOT samples, and AutoAttack leaves Square out."""


class Square(TensorAttack):
    """Random squares at the ball's corners: it needs no gradient.

    It sets one square of each image to a corner of the ball, and keeps it if the margin falls. It starts from vertical
    stripes. A random model's margin is a mean over ``eot`` draws.

    Source: Andriushchenko et al. 2020, "Square attack: a query-efficient black-box adversarial attack via random
    search", Algorithms 1 and 2, arXiv 1912.00049.
    """

    name = "square"
    guide = Guide.scores
    norms = ("linf",)
    fewer_draws, fewest_draws = 10, 2

    queries = Parameter(positive_integer, 1000)
    """points tried for each image"""
    area = Parameter(share, 0.8)
    """share of the image that the first squares cover (p of the paper)"""
    together = Parameter(positive_integer, 8)
    """most squares tried at once for an image; the best may be kept. The paper tries one by one, but late in the search
    hardly any square is kept, and several fill a pass through the model better"""
    patience = Parameter(or_none(positive_number))
    """an image is given up if its margin would stay above 0 even if each further doubling of the queries lowered it
    ``patience`` times as much as the last doubling did. It counts as robust, and the result says how
    many such images there are. None gives up no image. Not for a random model"""

    @property
    def most_queries(self) -> int:
        return self.queries * self.eot

    def is_moot(self, x: Tensor, y: Tensor) -> bool:
        """A long search of a random model is too dear; a short one is worth its time."""
        del x, y
        return self.target.randomised and self.queries > MOST_QUERIES_OF_RANDOM_MODELS

    def explore(self, x: Tensor, y: Tensor, found: Candidates, generator: torch.Generator, report: StepReport) -> None:
        stripes = self._corners(x, random_signs((len(x), x.shape[1], 1, x.shape[3]), generator))
        self._try(stripes[None], y, found, 0)
        first = max(1, int(self.queries * FIRST_FORECAST))
        query, forecast, before = 1, first, found.score.clone()
        turn = 0
        while query < self.queries and len(x):
            turn += 1
            count = min(self.together, 1 + query // QUERIES_FOR_ONE_MORE_AT_ONCE, self.queries - query)
            self._try(self._proposals(x, found.best, query, count, generator), y, found, query)
            query += count
            if turn % (ROUNDS_LIKE_A_GRADIENT_STEP * found.steps_between_looks) == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y = x[kept], y[kept]
                report(query, self.queries, len(x))
            if self.patience is not None and forecast <= query < self.queries and not self.target.randomised:
                if query >= 2 * first:
                    kept = found.give_up(~self._within_reach(found, before, query))
                    x, y = x[kept], y[kept]
                forecast, before = 2 * query, found.score.clone()

    def _within_reach(self, found: Candidates, before: Tensor, query: int) -> Tensor:
        """Which standing images may still fall, bool (M,); ``before`` (N,) are the scores at half of the queries."""
        assert self.patience is not None
        score = found.score[found.rows]
        doublings = math.log2(self.queries / query)
        return score < self.patience * (before[found.rows] - score) * doublings

    def _proposals(self, x: Tensor, best: Tensor, query: int, count: int, generator: torch.Generator) -> Tensor:
        """``best`` (N, C, H, W) with one square at a corner of the ball around ``x``: (``count``, N, C, H, W)."""
        _, channels, height, width = x.shape
        window = _windows((count, len(x)), height, width, self._side(query, height, width), generator)
        corners = self._corners(x, random_signs((count, len(x), channels, 1, 1), generator))
        return torch.where(window, corners, best)

    def _corners(self, x: Tensor, signs: Tensor) -> Tensor:
        return (x + self.threat_model.eps * signs).clamp_(*self.threat_model.clip)

    def _try(self, points: Tensor, y: Tensor, found: Candidates, query: int) -> None:
        """Offer the best of each image's ``points`` (K, N, C, H, W); the first point is query number ``query``."""
        count = len(points)
        margins = self.noisy_margins(points.flatten(0, 1), y if count == 1 else y.repeat(count)).view(count, -1)
        score, place = margins.min(0)
        best = points[0] if count == 1 else points[place, torch.arange(len(y), device=y.device)]
        found.spend(count * self.eot)
        found.update(best, score, query + count - 1)

    def _side(self, query: int, height: int, width: int) -> int:
        """The side of the squares: their area is ``area`` of the image at first, halved as the budget is used up."""
        halvings = sum(query * 10_000 // self.queries > at for at in HALVINGS)
        return min(height, width, max(1, round(math.sqrt(self.area / 2**halvings * height * width))))


def _windows(counts: tuple[int, int], height: int, width: int, side: int, generator: torch.Generator) -> Tensor:
    """Where a random square of each image lies, bool (*``counts``, 1, H, W)."""
    device = generator.device
    top = torch.randint(0, height - side + 1, (*counts, 1, 1, 1), generator=generator, device=device)
    left = torch.randint(0, width - side + 1, (*counts, 1, 1, 1), generator=generator, device=device)
    row = torch.arange(height, device=device).view(-1, 1)
    column = torch.arange(width, device=device)
    return ((row >= top) & (row < top + side)) & ((column >= left) & (column < left + side))  # one large product
