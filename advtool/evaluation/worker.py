"""The worker computes one stage on one shard. The result depends on the question and on the place alone."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from advtool import seeding
from advtool.attacks.base import StepReport, TensorAttack
from advtool.attacks.candidates import Found
from advtool.evaluation.examples import Examples
from advtool.evaluation.recognition import answers_for_shard
from advtool.evaluation.shard import Shard, ShardRecord, finite_or_none, shards_of
from advtool.evaluation.verification import Verdict, verify
from advtool.results import CLEAN, ModelCalls, Outcome
from advtool.target.scores import margin, predictions
from advtool.target.target import CallCounter, Target

PREVIEWED_IMAGES = 100
"""How many of the first images are classified before anything else, to see whether the model fits the data."""


class Preview(NamedTuple):
    """The first images of a run, classified before the attacks."""

    right: Tensor
    """which of at most ``PREVIEWED_IMAGES`` images are classified right, bool (n,)"""
    unanswered: Tensor
    """which of them have scores that are not finite, bool (n,)"""
    seconds: float


class _Classified(NamedTuple):
    scores: Tensor
    """(n, classes)"""
    first: int
    """the place of the first image in the run"""
    seconds: float
    forward: int


class Worker:
    """Computes shards of a run.

    Predictions of a random model have a random stream for each image, so they do not depend on the size of a shard. A
    search has one stream for all images of its shard.

    Args:
        target: the model under attack.
        x: all images of the run, float32 (N, C, H, W) in [0, 1], on the CPU.
        y: the labels, int64 (N,).
        seed: the seed of the run.
        images_a_shard: how many images a shard has; the last shard may have fewer.
    """

    def __init__(self, target: Target, x: Tensor, y: Tensor, *, seed: int, images_a_shard: int) -> None:
        self.target, self.seed, self._x, self._y = target, seed, x, y
        self.shards = list(shards_of(x, y, images_a_shard))
        self._previewed: _Classified | None = None

    def start_counting(self) -> float:
        """Count the images that go through the model from now on. Returns the time."""
        self.target.calls = CallCounter()
        return time.perf_counter()

    def record(self, stage: str, shard: Shard, started: float, outcome: Tensor, **found: Any) -> ShardRecord:
        """What a stage found out about the n images of a shard, and what that has cost.

        Args:
            stage: its label.
            shard: the images.
            started: what :meth:`start_counting` gave.
            outcome: of each image, integers (n,).
            found: other fields of the record. Without these no image was searched, and no margin is known.
        """
        n, calls = len(shard.y), self.target.calls
        unsearched = {"prediction": shard.y.tolist(), "margin": [None] * n, "step": [None] * n, "queries": [0] * n}
        return ShardRecord(
            stage=stage,
            shard=shard.number,
            images_a_pass=self.target.batch_size,
            outcome=outcome.tolist(),
            seconds=_seconds_since(started),
            model_calls=ModelCalls(forward=calls.forward, backward=calls.backward),
            **unsearched | found,
        )

    def classify(self, shard: Shard) -> ShardRecord:
        """The clean stage: which images are classified right?"""
        known = self._take_preview(shard)
        rest = self._classify(shard.first + len(known.scores), shard.rows.stop)
        scores = torch.cat((known.scores, rest.scores))
        prediction = predictions(scores)
        right = prediction == shard.y.to(scores.device)
        return ShardRecord(
            stage=CLEAN,
            shard=shard.number,
            images_a_pass=self.target.batch_size,
            outcome=torch.where(right, Outcome.robust, Outcome.fallen).tolist(),
            prediction=prediction.tolist(),
            margin=finite_or_none(margin(scores, shard.y.to(scores.device))),
            step=[None] * len(scores),
            queries=[0] * len(scores),
            draws_right=self._draws_right(CLEAN, shard.first, torch.arange(len(shard.x)), shard.x, shard.y),
            answers=answers_for_shard(self.target, shard.x.to(self.target.device), shard.number),
            seconds=round(known.seconds + rest.seconds, 4),
            model_calls=ModelCalls(forward=known.forward + rest.forward, backward=0),
        )

    def preview(self, finished: Callable[[int], ShardRecord | None]) -> Preview:
        """Classify the first images of the run. :meth:`classify` uses these predictions later.

        Args:
            finished: gives the clean record of a shard by number; None if the shard is not finished.
        """
        classes: list[int] = []
        seconds = 0.0
        for shard in self.shards:
            if (record := finished(shard.number)) is None:
                some = self._classify(shard.first, min(shard.first + PREVIEWED_IMAGES - len(classes), len(self._x)))
                self._previewed = some
                classes += predictions(some.scores).tolist()
                seconds += some.seconds
                break
            classes += record.prediction
            seconds += record.seconds * min(1.0, PREVIEWED_IMAGES / len(shard.y))
            if len(classes) >= PREVIEWED_IMAGES:
                break
        few = torch.tensor(classes[:PREVIEWED_IMAGES])
        return Preview(few == self._y[: len(few)], few < 0, seconds)

    def attack(
        self,
        attack: TensorAttack,
        stage: str,
        shard: Shard,
        asked: Tensor,
        report: StepReport,
        *,
        draws_below: Tensor | None = None,
    ) -> tuple[ShardRecord, Examples]:
        """Attack some images of a shard, and verify the candidates with noise that the search never saw.

        A one-step attack works on every image, so that the accuracy on examples can be told.

        Args:
            attack: made for the worker's target.
            stage: the label of the attack.
            shard: the n images and their labels.
            asked: which images of the shard to attack, bool (n,).
            report: is told of the steps.
            draws_below: of a random model, count how many single draws are right at the candidates whose margin is
                lower than these, (n,); None counts none.

        Returns:
            The record, and the verified adversarial examples.
        """
        device = self.target.device
        x, y, wanted = shard.x.to(device), shard.y.to(device), asked.to(device)
        rows = torch.arange(len(x), device=device) if attack.one_step else wanted.nonzero().squeeze(1)
        started = self.start_counting()
        found, verdict = self._search_and_verify(attack, stage, shard.first, rows, x, y, report)
        fallen = wanted & verdict.adversarial
        outcome = torch.where(fallen, Outcome.fallen, Outcome.robust).where(wanted, Outcome.not_asked)
        # The verifier allows rounding: an example beyond the surface by that much lies on it.
        distances = attack.threat_model.distance(found.x, x).clamp_max(attack.threat_model.eps)
        draws_right = None
        if draws_below is not None:
            lower = wanted & (verdict.margin.nan_to_num(nan=-math.inf) < draws_below.to(device))
            draws_right = self._draws_right(stage, shard.first, lower.nonzero().squeeze(1), found.x, y)
        record = self.record(
            stage,
            shard,
            started,
            outcome,
            prediction=verdict.prediction.tolist(),
            margin=finite_or_none(verdict.margin),
            step=[None if step < 0 else step for step in found.step.tolist()],
            queries=found.queries.tolist(),
            distance=finite_or_none(distances.where(fallen, math.nan)),
            example_correct=(verdict.prediction == y).tolist() if attack.one_step else None,
            given_up=int((found.given_up & ~verdict.adversarial).sum()),
            draws_right=draws_right,
            late=(found.late & verdict.adversarial).nonzero().squeeze(1).tolist() or None,
        )
        broken = fallen.nonzero().squeeze(1)
        return record, Examples(broken + shard.first, y[broken], x[broken], found.x[broken])

    def _search_and_verify(
        self, attack: TensorAttack, stage: str, first: int, rows: Tensor, x: Tensor, y: Tensor, report: StepReport
    ) -> tuple[Found, Verdict]:
        """What the attack finds for the images ``x`` (N, C, H, W), and what the verifier says of it.

        It works on the ``rows`` (M,) alone. The others stay as they are: they stand, and have no margin and no step.
        """
        none = torch.zeros_like(y, dtype=torch.bool)
        found = Found(x.clone(), torch.full_like(y, -1), torch.zeros_like(y), given_up=none.clone(), late=none.clone())
        verdict = Verdict(none.clone(), y.clone(), torch.full_like(y, math.nan, dtype=torch.float32))
        if not len(rows):
            return found, verdict
        images, labels = x[rows], y[rows]
        stream = seeding.generator(x.device, self.seed, stage, first, "attack")
        with self._streams(stage, first, "search"):
            candidates = attack.search(images, labels, stream, report)
        # The votes of the clean stage: with fresh ones each attack would be another chance to lose by bad luck.
        score = partial(self._scores, places=(first + rows).tolist(), stream=(CLEAN,))
        judged = verify(score, candidates.x, images, labels, attack.threat_model)
        for whole, part in zip((*found, *verdict), (*candidates, *judged), strict=True):
            whole[rows] = part
        return found, verdict

    def _take_preview(self, shard: Shard) -> _Classified:
        """The part of the preview that lies in the shard; empty if none does."""
        some = self._previewed
        if some is None or not some.first <= shard.first < some.first + len(some.scores):
            return _Classified(torch.empty(0, self.target.classes, device=self.target.device), shard.first, 0.0, 0)
        start, stop = shard.first - some.first, shard.rows.stop - some.first
        scores = some.scores[start:stop]
        share = len(scores) / len(some.scores)
        return _Classified(scores, shard.first, share * some.seconds, round(share * some.forward))

    def _classify(self, first: int, stop: int) -> _Classified:
        started = self.start_counting()
        x = self._x[first:stop].to(self.target.device)
        scores = self._scores(x, list(range(first, stop)), (CLEAN,)) if len(x) else x.new_empty(0, self.target.classes)
        return _Classified(scores, first, _seconds_since(started), self.target.calls.forward)

    def _scores(self, x: Tensor, places: list[int], stream: tuple[str, ...]) -> Tensor:
        """Scores (n, classes) by the votes of the run; ``places`` are the places of the images in the run."""
        if not self.target.randomised:
            with self._streams(*stream, places[0]):
                return self.target.scores(x)
        parts = []
        for image, place in zip(x.split(1), places, strict=True):
            with self._streams(*stream, place):
                parts.append(self.target.scores(image))
        return torch.cat(parts)

    def _draws_right(self, stage: str, first: int, rows: Tensor, x: Tensor, y: Tensor) -> list[int] | None:
        """How many single draws classify each of the shard's images right, 0 for images that are not in ``rows`` (k,).

        None of a model without randomness.
        """
        if not self.target.randomised:
            return None
        device, counts = self.target.device, [0] * len(x)
        for row in rows.tolist():
            with self._streams(stage, "single draws", first + row):
                counts[row] = int(self.target.draws_right(x[row, None].to(device), y[row, None].to(device)))
        return counts

    def _streams(self, *place: str | int) -> AbstractContextManager[None]:
        return self.target.streams(self.seed, *place)


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 4)
