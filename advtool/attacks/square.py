"""Square: random search with squares of the ball's corners (Andriushchenko et al. 2020), without gradients."""

import math

import torch
from torch import Tensor

from advtool.attacks.base import Candidates, Found, StepReport, TensorAttack
from advtool.attacks.parameters import positive_integer, positive_number
from advtool.errors import InputError
from advtool.target.target import Target
from advtool.threat import ThreatModel

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries, of a budget of 10,000, after which the area of the squares is halved."""
QUERIES_A_PROPOSAL = 50
"""Of those made so far, for each further proposal that is tried at once: while most squares are kept, few are."""
ROUNDS_A_STEP = 5
"""A round asks for one pass through the model, a gradient attack's step for a few."""
FIRST_OUTLOOK = 8
"""After the budget divided by this, and at each doubling, the margins are noted that tell which images are in reach."""


class Square(TensorAttack):
    """Sets one random square of each image to a corner of the ball, and keeps it if the margin falls.

    Starts from vertical stripes. A randomised model's margin is a mean over ``eot`` draws.

    Args:
        target: the model under attack.
        threat_model: what the attacker may do.
        queries: points tried for each image.
        area: share of the image that the first squares cover (p of the paper).
        together: most squares tried at once for an image, of which the best may be kept. One by one is the paper's
            way; later in the search hardly any square is kept, and a pass through the model is filled better.
        patience: an image is given up if its margin would not reach 0 within the budget though it fell, with each
            doubling of the queries, ``patience`` times as much as with the last; None gives up none. Not for a
            randomised model.
        eot: draws that each margin averages over; None takes the run's.
    """

    follows_gradient = False
    norms = ("linf",)
    attack_params = ["queries", "area", "together", "patience", "eot"]

    def __init__(
        self,
        target: Target,
        threat_model: ThreatModel,
        *,
        queries: int = 1000,
        area: float = 0.8,
        together: int = 1,
        patience: float | None = None,
        eot: int | None = None,
    ) -> None:
        super().__init__(target, threat_model, eot=eot)
        self.queries = positive_integer("square", "queries", queries)
        self.area = positive_number("square", "area", area)
        self.together = positive_integer("square", "together", together)
        self.patience = None if patience is None else positive_number("square", "patience", patience)
        if self.area > 1:
            raise InputError(f"square: area={self.area!r} must be at most 1: it is a share of the image")

    @property
    def most_queries(self) -> int:
        return self.queries * self.eot

    def search(self, x: Tensor, y: Tensor, generator: torch.Generator, report: StepReport) -> Found:
        found = Candidates(x, y, self.target)
        stripes = self._corners(x, _signs((len(x), x.shape[1], 1, x.shape[3]), generator))
        self._try(stripes[None], y, found, 0)
        first = max(1, self.queries // FIRST_OUTLOOK)
        query, outlook, before = 1, first, found.score.clone()
        turn = 0
        while query < self.queries and len(x):
            turn += 1
            count = min(self.together, 1 + query // QUERIES_A_PROPOSAL, self.queries - query)
            self._try(self._proposals(x, found.best, query, count, generator), y, found, query)
            query += count
            if turn % (ROUNDS_A_STEP * found.steps_between_looks) == 0:
                if (kept := found.drop_fallen()) is not None:
                    x, y = x[kept], y[kept]
                report(query, self.queries, len(x))
            if self.patience is not None and query >= outlook and not self.target.randomised:
                if query >= 2 * first:
                    kept = found.keep(self._within_reach(found, before, query))
                    x, y = x[kept], y[kept]
                outlook, before = 2 * query, found.score.clone()
        return found

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
        corners = self._corners(x, _signs((count, len(x), channels, 1, 1), generator))
        return torch.where(window, corners, best)

    def _corners(self, x: Tensor, signs: Tensor) -> Tensor:
        return (x + self.threat_model.eps * signs).clamp_(*self.threat_model.clip)

    def _try(self, points: Tensor, y: Tensor, found: Candidates, query: int) -> None:
        """Offer the best of the ``points`` (K, N, C, H, W) of each image, the first being query number ``query``."""
        count = len(points)
        margins = self.noisy_margins(points.flatten(0, 1), y if count == 1 else y.repeat(count)).view(count, -1)
        score, place = margins.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf).min(0)
        best = points[0] if count == 1 else points[place, torch.arange(len(y), device=y.device)]
        found.spend(count * self.eot)
        found.update(best, score, query + count - 1)

    def _side(self, query: int, height: int, width: int) -> int:
        """Of the square: its area begins at ``area`` of the image and is halved as the budget is used up."""
        halvings = sum(query * 10_000 // self.queries > at for at in HALVINGS)
        return min(height, width, max(1, round(math.sqrt(self.area / 2**halvings * height * width))))


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator, device=generator.device).float().mul_(2).sub_(1)


def _windows(counts: tuple[int, int], height: int, width: int, side: int, generator: torch.Generator) -> Tensor:
    """Where a random square of each image lies, bool (*``counts``, 1, H, W)."""
    device = generator.device
    top = torch.randint(0, height - side + 1, (*counts, 1, 1, 1), generator=generator, device=device)
    left = torch.randint(0, width - side + 1, (*counts, 1, 1, 1), generator=generator, device=device)
    row = torch.arange(height, device=device).view(-1, 1)
    column = torch.arange(width, device=device)
    return ((row >= top) & (row < top + side)) & ((column >= left) & (column < left + side))  # one large product
