"""One stage on one shard: the unit of work, whose result depends on its place alone."""

import math
import time
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from advtool import seeding
from advtool.attacks.base import Found, StepReport, TensorAttack
from advtool.attacks.estimator import CallCounter, EOTClassifier, margin, predictions
from advtool.evaluation.examples import Examples
from advtool.evaluation.run import CLEAN, ShardRecord
from advtool.evaluation.verification import Verdict, verify
from advtool.results import ModelCalls


class Worker:
    """Computes shards of a run.

    Args:
        estimator: the model under test.
        x: all images of the run, float32 (N, C, H, W) in [0, 1], on the CPU.
        y: their labels, int64 (N,).
        seed: of the run.
        images_a_shard: images of a shard; the last one may be smaller.
    """

    def __init__(self, estimator: EOTClassifier, x: Tensor, y: Tensor, *, seed: int, images_a_shard: int) -> None:
        self.estimator, self.seed = estimator, seed
        self._shards = list(zip(x.split(images_a_shard), y.split(images_a_shard), strict=True))

    @property
    def sizes(self) -> list[int]:
        """Images of each shard."""
        return [len(labels) for _, labels in self._shards]

    def classify(self, shard: int) -> ShardRecord:
        """The clean stage: which images are classified right?"""
        x, y = self._load(shard)
        started = self._start_counting()
        with self._streams(CLEAN, shard):
            scores = self.estimator.scores(x)
        prediction = predictions(scores)
        return ShardRecord(
            stage=CLEAN,
            shard=shard,
            images_a_pass=self.estimator.batch_size,
            survives=(prediction == y).tolist(),
            prediction=prediction.tolist(),
            margin=_json_numbers(margin(scores, y)),
            step=[None] * len(x),
            queries=[0] * len(x),
            seconds=_since(started),
            model_calls=self._calls(),
        )

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
            images_a_pass=self.estimator.batch_size,
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
            return found, verify(self.estimator, found.x, x, y, eps=attack.eps)

    def _first(self, shard: int) -> int:
        return sum(self.sizes[:shard])

    def _load(self, shard: int) -> tuple[Tensor, Tensor]:
        x, y = self._shards[shard]
        return x.to(self.estimator.device), y.to(self.estimator.device)

    def _streams(self, *place: str | int) -> AbstractContextManager[None]:
        return seeding.global_streams(self.estimator.device, self.seed, *place)

    def _start_counting(self) -> float:
        self.estimator.calls = CallCounter()
        return time.perf_counter()

    def _calls(self) -> ModelCalls:
        return ModelCalls(forward=self.estimator.calls.forward, backward=self.estimator.calls.backward)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 4)


def _json_numbers(values: Tensor) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
