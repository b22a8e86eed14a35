"""The images that an attack searches: for each its best candidate so far, and whether the model confirms it."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from advtool.target.scores import judged_margin
from advtool.target.target import Target


class Found(NamedTuple):
    """What a search found for N images, and what it spent on each."""

    x: Tensor
    """candidates, float32 (N, C, H, W)"""
    step: Tensor
    """the step at which the search met the candidate, int64 (N,); 0 is the start, and later starts count on"""
    queries: Tensor
    """passes through the model for this image, int64 (N,), EOT samples included"""
    given_up: Tensor
    """the search stopped early because it thought the image out of reach, bool (N,)"""
    late: Tensor
    """whether the last round of a search that could have gone on took this image, bool (N,)"""


class Candidates:
    """The images under attack: each with its candidate so far and a score; and which images still stand.

    A score below 0 says that the image has fallen. A search judges by the search form of the model, or by the noisy
    draws of a random model, so such a score may be wrong. The model itself confirms a fall: a deterministic model by
    its own scores, a random model by two sets of votes (:meth:`Target.surely_wrong`). A confirmed candidate stays.

    ``rows`` are the images that the search still works on, indices (M,) into the N that it began with. What changes
    them makes the host wait for the device, so a search calls :meth:`drop_fallen` now and then alone. It drops images
    only when at least a tenth can go, since a new batch shape costs new convolution plans.

    Args:
        x: images, float32 (N, C, H, W).
        y: their labels, int64 (N,).
        target: the model under attack.
    """

    def __init__(self, x: Tensor, y: Tensor, target: Target) -> None:
        self.x = x.clone()
        self.step = torch.zeros(len(x), dtype=torch.long, device=x.device)
        self.queries = torch.zeros_like(self.step)
        self.score = torch.full((len(x),), math.inf, device=x.device)
        self.confirmed = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.given_up = torch.zeros_like(self.confirmed)
        self.late = torch.zeros_like(self.confirmed)
        self.rows = torch.arange(len(x), device=x.device)
        self.image = self.rows
        """of each row its image: several searches of one may run side by side"""
        self._y, self._target = y, target
        self._last: tuple[Tensor, Tensor, int] | None = None
        """the points that the search met last, their images, and the step"""

    def update(self, x: Tensor, score: Tensor, step: int) -> None:
        """Keep the points ``x`` (M, C, H, W) whose ``score`` (M,) is lower than the best so far; NaN never is."""
        self._put(score < self.score[self._slice], x, score, step)
        self._last = x, self.rows, step

    def meet(self, x: Tensor, scores: Tensor, step: int) -> None:
        """The search is at ``x`` (M, C, H, W), and the model's ``scores`` there are (M, classes).

        The point of lowest margin counts; a point without an answer has fallen too. Of a random model the last
        point counts: the luckiest of many noisy margins is no better point.
        """
        rows = self._slice
        if self._target.randomised:
            self.score[rows] = torch.where(self.confirmed[rows], -math.inf, math.inf)
        self.update(x, judged_margin(scores, self._y[rows]), step)

    def take(self, x: Tensor, step: int | Tensor) -> None:
        """``x`` (M, C, H, W) are the candidates, whatever the model says of them."""
        self._put(torch.ones_like(self.rows, dtype=torch.bool), x, self.score[self._slice], step)

    @property
    def steps_between_looks(self) -> int:
        """Steps from one :meth:`drop_fallen` to the next: it makes a GPU's host wait, and a random model vote."""
        if self._target.randomised:
            return 5 * max(1, self._target.votes // self._target.eot)
        return 2 if self.x.device.type == "cpu" else 5

    @property
    def standing(self) -> int:
        """The number of images that the search still works on; a GPU's host waits for it."""
        return len(self.image[self.rows].unique())

    @property
    def best(self) -> Tensor:
        """The candidates of the images that the search works on, (M, C, H, W)."""
        return self.x[self._slice]

    def spend(self, queries: int) -> None:
        """Count so many passes through the model for each image that the search works on."""
        self.queries[self._slice] += queries

    def drop_fallen(self, at_least: float = 0.1) -> Tensor | None:
        """Drop the confirmed from ``rows`` if they are that share of it; the kept places (K,), or None if none go."""
        if not self._target.knows_what_fell:
            return None
        fallen = self.score[self.rows] < 0
        least = max(1, at_least * len(self.rows))
        if int(fallen.sum()) < least:
            return None
        self._confirm(self.rows[fallen])
        fallen = self.confirmed[self.rows]
        return self.keep(~fallen) if int(fallen.sum()) >= least else None

    def keep(self, wanted: Tensor) -> Tensor:
        """Go on with the ``wanted`` (M,) of ``rows`` alone; their places (K,)."""
        places = wanted.nonzero().squeeze(1)
        self.rows = self.rows[places]
        return places

    def give_up(self, hopeless: Tensor) -> Tensor:
        """Go on without the ``hopeless`` (M,) of ``rows``, which stand unsearched from then on; the kept (K,)."""
        self.given_up[self.rows[hopeless]] = True
        return self.keep(~hopeless)

    def numbers(self, first: int, images: Tensor) -> Tensor:
        """The number of each search in a round of :meth:`rounds` that begins with number ``first``, int64 (M,)."""
        return first + torch.arange(len(images), device=images.device) // len(self.rows)

    def rounds(
        self, count: int, *, queries: int, steps: int, earlier: int = 0, before: int = 0
    ) -> Iterator[tuple[int, "Candidates", Tensor]]:
        """``count`` searches of each standing image. As many run side by side as fill a pass through the model.

        Yields the number of the first search of a round, the candidates that the round must fill, and the image of
        each candidate, indices (K M,) into the N images: the M standing images once for each of K searches. A later
        round sees the images that stand by then.

        Args:
            count: searches.
            queries: passes through the model that a search asks for an image at once.
            steps: of a search. Each search counts its own steps from 0, and the steps of the searches before it are
                added.
            earlier: the number of the first search.
            before: steps of other searches, before all of these.
        """
        first, end = earlier, earlier + count
        while first < end:
            if first > earlier:
                self.drop_fallen(at_least=0)
            if len(self.rows) == 0:
                return
            room = self._target.batch_size // (queries * len(self.rows))
            copies = min(end - first, max(1, room))
            images = self.rows.repeat(copies)
            beside = Candidates(self.x[images], self._y[images], self._target)
            beside.image = images
            yield first, beside, images
            beside.finish()
            beside.step += before + steps * self.numbers(first, images)
            self._take_best(beside, copies)
            first += copies

    def finish(self) -> Found:
        """The search is over: a model without randomness confirms what only its search form has judged fallen.

        Where the model rejects a candidate, the last point of the search is returned instead.
        """
        if not self._target.randomised:
            doubtful = ((self.score < 0) & ~self.confirmed).nonzero().squeeze(1)
            self._confirm(doubtful)
            self._go_to_last(doubtful[~self.confirmed[doubtful]])
        return Found(self.x, self.step, self.queries, self.given_up & ~self.confirmed, self.late)

    @property
    def _slice(self) -> slice | Tensor:
        """``rows``; while all images are there, a slice saves gathering and scattering them."""
        return slice(None) if len(self.rows) == len(self.x) else self.rows

    def _put(self, better: Tensor, x: Tensor, score: Tensor, step: int | Tensor) -> None:
        """Replace the candidates of ``rows`` where ``better`` (M,) says so, but never a confirmed one."""
        rows = self._slice
        better = better & ~self.confirmed[rows]
        self.score[rows] = torch.where(better, score, self.score[rows])
        self.step[rows] = torch.where(better, step, self.step[rows])
        self.x[rows] = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, self.x[rows])

    def _take_best(self, beside: "Candidates", copies: int) -> None:
        """The best of the ``copies`` searches of each image."""
        score, copy = beside.score.view(copies, -1).min(0)
        place = copy * len(self.rows) + torch.arange(len(self.rows), device=copy.device)
        self.queries[self.rows] += beside.queries.view(copies, -1).sum(0)
        self._put(score < self.score[self.rows], beside.x[place], score, beside.step[place])
        self.confirmed[self.rows] |= beside.confirmed[place]

    def _go_to_last(self, rejected: Tensor) -> None:
        """The images ``rejected`` (K,) get the last point that the search met, and the model judges it."""
        if len(rejected) and self._last is not None:
            points, rows, step = self._last
            there = torch.isin(rows, rejected)
            self.x[rows[there]], self.step[rows[there]] = points[there], step
            self._confirm(rows[there])

    def _confirm(self, rows: Tensor) -> None:
        """Ask the model itself about the candidates of ``rows`` (M,) that it has not confirmed yet."""
        rows = rows[~self.confirmed[rows]]
        if len(rows) == 0:
            return
        if self._target.randomised:
            self.confirmed[rows] = self._wrong_twice(rows)
        else:
            self.queries[rows] += self._target.votes
            self.score[rows] = judged_margin(self._target.scores(self.x[rows]), self._y[rows])
            self.confirmed[rows] = self.score[rows] < 0
        self.score[rows[self.confirmed[rows]]] = -math.inf  # no luckier margin of another start beats what is sure

    def _wrong_twice(self, rows: Tensor) -> Tensor:
        """Whether two sets of votes are sure: an image at the border that is lucky once is seldom lucky twice."""
        wrong = torch.ones_like(rows, dtype=torch.bool)
        for _ in range(2):
            if len(asked := rows[wrong]):
                self.queries[asked] += self._target.votes
                wrong[wrong.clone()] = self._target.surely_wrong(self.x[asked], self._y[asked])
        return wrong
