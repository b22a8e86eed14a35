"""The engine of a run: shard by shard, and within a shard stage by stage, over one array of outcomes."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from advtool.attacks.base import StepReport
from advtool.evaluation.examples import Examples
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import Run
from advtool.evaluation.shard import Shard, ShardRecord
from advtool.evaluation.stages import Stage, asked_of, standing_of
from advtool.evaluation.worker import Worker
from advtool.results import CLEAN
from advtool.target.memory_use import halving_on_out_of_memory
from advtool.target.target import Target

Work = Callable[[StepReport], tuple[ShardRecord, Examples | None]]
"""Computes one stage on one shard. Gives its record, and the adversarial examples that an attack found."""


class Engine:
    """Computes the unfinished part of a run, and keeps it.

    Args:
        run: keeps the finished shards, in a folder or in memory.
        worker: computes one stage on one shard.
        stages: the attacks and probes in their order, without the clean stage.
        observer: is told of the progress.
    """

    def __init__(self, run: Run, worker: Worker, stages: Sequence[Stage], observer: Observer) -> None:
        self.run, self.worker, self.stages, self.observer = run, worker, stages, observer
        self.ledger = Ledger(
            [stage.label for stage in stages],
            sum(len(shard.y) for shard in worker.shards),
            one_step=[stage.label for stage in stages if stage.attack.one_step],
            probes=[stage.label for stage in stages if stage.probed_eps is not None],
        )

    def compute(self) -> Ledger:
        """Compute every stage on every shard that is not finished. Returns the outcomes and costs of all."""
        for shard in self.worker.shards:
            self._classify(shard)
            for position, stage in enumerate(self.stages, start=1):
                self._attack(position, stage, shard)
        return self.ledger

    def _classify(self, shard: Shard) -> None:
        self._finish(0, CLEAN, shard, lambda _: (self.worker.classify(shard), None), lambda: self.ledger.outcomes.clean)

    def _attack(self, position: int, stage: Stage, shard: Shard) -> None:
        outcomes = self.ledger.outcomes
        asked = asked_of(stage, outcomes, shard.rows)

        def work(report: StepReport) -> tuple[ShardRecord, Examples | None]:
            return self.worker.attack(stage.attack, stage.label, shard, asked, report)

        standing = partial(standing_of, stage, outcomes)
        name = stage.label if stage.probed_eps is None else f"probe, {stage.label}"
        self._finish(position, name, shard, work, standing)

    def _finish(self, position: int, name: str, shard: Shard, work: Work, standing: Callable[[], Tensor]) -> None:
        """Finish one stage on one shard. ``standing()`` tells which images of the run still stand in it, bool (N,)."""
        if shard.first == 0:
            self.observer.start(name, len(self.ledger.outcomes))
        record = self.run.get(position, shard.number)
        if record is None:
            before = standing()
            earlier, here, size = int(before[: shard.first].sum()), int(before[shard.rows].sum()), len(shard.y)

            def report(step: int, steps: int, left: int) -> None:
                self.observer.advance(name, shard.first + size * step / steps, earlier + min(left, here))

            lower = partial(halve, self.run, self.worker.target, self.observer)
            record, examples = halving_on_out_of_memory(partial(work, report), lower)
            self.run.put(position, record, examples)
        self.ledger.enter(position, shard.first, record)
        done, left = shard.rows.stop, int(standing()[: shard.rows.stop].sum())
        self.observer.advance(name, done, left)
        if done == len(self.ledger.outcomes):
            self.observer.finish(name, left)


def halve(run: Run, target: Target, observer: Observer) -> int:
    """Halve the number of images in a pass, and note it in the run. Returns 0 if not even one image fitted."""
    target.batch_size //= 2
    if target.batch_size:
        observer.note(f"out of memory: going on with {target.batch_size} images a pass")
        run.set_images_a_pass(target.batch_size)
    return target.batch_size
