"""One stage on one shard: the unit of work, whose result depends on its place alone."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from advtool import seeding
from advtool.attacks.base import StepReport, TensorAttack
from advtool.attacks.candidates import Found
from advtool.evaluation.examples import Examples
from advtool.evaluation.recognition import answers_for_shard
from advtool.evaluation.run import CLEAN, ShardRecord
from advtool.evaluation.verification import Verdict, verify
from advtool.results import ModelCalls
from advtool.target.scores import margin, predictions
from advtool.target.target import CallCounter, Target

BLOCK = 100
"""Images that are classified together in the clean stage. The first ones tell whether the model fits the data."""


class Preview(NamedTuple):
    """The first images of a run, classified before the attacks."""

    right: list[bool]
    """up to ``BLOCK``"""
    seconds: float


class _Block(NamedTuple):
    scores: Tensor
    seconds: float
    forward: int


class Worker:
    """Computes shards of a run.

    Args:
        target: the model under test.
        x: all images of the run, float32 (N, C, H, W) in [0, 1], on the CPU.
        y: their labels, int64 (N,).
        seed: of the run.
        images_a_shard: images of a shard; the last one may be smaller.
    """

    def __init__(self, target: Target, x: Tensor, y: Tensor, *, seed: int, images_a_shard: int) -> None:
        self.target, self.seed = target, seed
        self._classified: dict[tuple[int, int], _Block] = {}
        self._shards = list(zip(x.split(images_a_shard), y.split(images_a_shard), strict=True))

    @property
    def sizes(self) -> list[int]:
        """Images of each shard."""
        return [len(labels) for _, labels in self._shards]

    def classify(self, shard: int) -> ShardRecord:
        """The clean stage: which images are classified right?"""
        x, y = self._load(shard)
        blocks = [self._block(shard, place) for place in _places(x)]
        scores = torch.cat([block.scores for block in blocks])
        prediction = predictions(scores)
        return ShardRecord(
            stage=CLEAN,
            shard=shard,
            images_a_pass=self.target.batch_size,
            survives=(prediction == y).tolist(),
            prediction=prediction.tolist(),
            margin=_json_numbers(margin(scores, y)),
            step=[None] * len(x),
            queries=[0] * len(x),
            answers=answers_for_shard(self.target, x, shard),
            seconds=round(sum(block.seconds for block in blocks), 4),
            model_calls=ModelCalls(forward=sum(block.forward for block in blocks), backward=0),
        )

    def preview(self, finished: Callable[[int], ShardRecord | None]) -> Preview:
        """The first part of the clean stage; what it computes is kept for :meth:`classify`.

        Args:
            finished: gives the clean record of a shard that is finished.
        """
        right: list[bool] = []
        seconds = 0.0
        for shard, (x, y) in enumerate(self._shards):
            if (record := finished(shard)) is not None:
                right += record.survives
                seconds += record.seconds * min(1.0, BLOCK / len(x))
                if len(right) >= BLOCK:
                    break
                continue
            for place in _places(x):
                block = self._classified[shard, place] = self._classify(shard, place)
                right += (predictions(block.scores).cpu() == y[place : place + BLOCK]).tolist()
                seconds += block.seconds
                if len(right) >= BLOCK:
                    return Preview(right[:BLOCK], seconds)
        return Preview(right[:BLOCK], seconds)

    def images(self, shard: int) -> Tensor:
        """The images of a shard, float32 (n, C, H, W) on the CPU."""
        x: Tensor = self._shards[shard][0]
        return x

    def _block(self, shard: int, place: int) -> _Block:
        """What :meth:`preview` has computed, or the same now."""
        known = (shard, place) in self._classified
        return self._classified.pop((shard, place)) if known else self._classify(shard, place)

    def _classify(self, shard: int, place: int) -> _Block:
        """The images of a shard from ``place`` on, as many as a block has; its noise depends on where it is alone."""
        x = self.images(shard)[place : place + BLOCK].to(self.target.device)
        started = self._start_counting()
        with self._streams(CLEAN, shard, place):
            scores = self.target.scores(x)
        return _Block(scores, _since(started), self.target.calls.forward)

    def attack(
        self, attack: TensorAttack, stage: str, shard: int, asked: list[bool], report: StepReport
    ) -> tuple[ShardRecord, Examples]:
        """An attack on the images asked for, its candidates verified with noise that the search never saw.

        One-step attacks work on every image, so that the final examples of all can be classified too. Beside the
        record come the verified adversarial examples.
        """
        x, y = self._load(shard)
        wanted = torch.tensor(asked, device=x.device)
        rows = torch.arange(len(x), device=x.device) if attack.one_step else wanted.nonzero().squeeze(1)
        started = self._start_counting()
        fallen, prediction = torch.zeros_like(wanted), y.clone()
        margins = torch.full((len(x),), math.nan, device=x.device)
        steps, queries, candidates = torch.full_like(y, -1), torch.zeros_like(y), x.clone()
        if len(rows):
            found, verdict = self._search_and_verify(attack, stage, shard, x[rows], y[rows], report)
            fallen[rows], prediction[rows], margins[rows] = verdict.adversarial, verdict.prediction, verdict.margin
            steps[rows], queries[rows], candidates[rows] = found.step, found.queries, found.x
        broken = (wanted & fallen).nonzero().squeeze(1)
        examples = Examples(broken + self._first(shard), y[broken], x[broken], candidates[broken])
        record = ShardRecord(
            stage=stage,
            shard=shard,
            images_a_pass=self.target.batch_size,
            survives=(wanted & ~fallen).tolist(),
            prediction=prediction.tolist(),
            margin=_json_numbers(margins),
            step=[None if step < 0 else step for step in steps.tolist()],
            queries=queries.tolist(),
            example_correct=(prediction == y).tolist() if attack.one_step else None,
            seconds=_since(started),
            model_calls=self._calls(),
        )
        return record, examples

    def _search_and_verify(
        self, attack: TensorAttack, stage: str, shard: int, x: Tensor, y: Tensor, report: StepReport
    ) -> tuple[Found, Verdict]:
        stream = seeding.generator(x.device, self.seed, stage, shard, "attack")
        with self._streams(stage, shard, "search"):
            found = attack.search(x, y, stream, report)
        with self._streams(stage, shard, "verify"):
            return found, verify(self.target, found.x, x, y, attack.threat_model)

    def _first(self, shard: int) -> int:
        return sum(self.sizes[:shard])

    def _load(self, shard: int) -> tuple[Tensor, Tensor]:
        x, y = self._shards[shard]
        return x.to(self.target.device), y.to(self.target.device)

    def _streams(self, *place: str | int) -> AbstractContextManager[None]:
        return self.target.streams(self.seed, *place)

    def _start_counting(self) -> float:
        self.target.calls = CallCounter()
        return time.perf_counter()

    def _calls(self) -> ModelCalls:
        return ModelCalls(forward=self.target.calls.forward, backward=self.target.calls.backward)


def _places(x: Tensor) -> range:
    """Where the blocks of a shard begin."""
    return range(0, len(x), BLOCK)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)


def _json_numbers(values: Tensor) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
