"""The stages of a run over its shards: what is finished stays, what is not is computed and kept."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from advtool.attacks.base import StepReport
from advtool.attacks.suites import Scope
from advtool.evaluation.examples import Examples
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import CLEAN, Run, ShardRecord, survivors
from advtool.evaluation.stages import Cascade, Stage
from advtool.evaluation.worker import Worker
from advtool.target.memory_use import halving_on_out_of_memory
from advtool.target.target import Target

Work = tuple[ShardRecord, Examples | None]
"""A shard's record, and the adversarial examples that an attack found there."""


def compute(run: Run, worker: Worker, stages: Sequence[Stage], observer: Observer) -> dict[str, list[ShardRecord]]:
    """The records of the clean stage and of each other, by label."""
    everything = [[True] * size for size in worker.sizes]
    clean = _stage(run, worker, observer, 0, CLEAN, lambda shard, _: (worker.classify(shard), None), everything)
    records, cascade = {CLEAN: clean}, Cascade(survivors(clean))
    for position, stage in enumerate(stages, start=1):
        asked = _by_shard(cascade.asks_for(stage), worker)
        in_turn = stage.scope is Scope.every or stage.probed_eps is not None
        counted = _by_shard(cascade.clean if in_turn else cascade.standing, worker)
        work = partial(_attack, worker, stage, asked)
        told = stage.label if stage.probed_eps is None else f"probe, {stage.label}"
        records[stage.label] = _stage(run, worker, observer, position, told, work, counted)
        cascade.note(stage, survivors(records[stage.label]))
    return records


def _by_shard(images: Sequence[bool], worker: Worker) -> list[list[bool]]:
    rest = iter(images)
    return [list(islice(rest, size)) for size in worker.sizes]


def _attack(worker: Worker, stage: Stage, asked: list[list[bool]], shard: int, report: StepReport) -> Work:
    return worker.attack(stage.attack, stage.label, shard, asked[shard], report)


def _stage(
    run: Run,
    worker: Worker,
    observer: Observer,
    position: int,
    name: str,
    work: Callable[[int, StepReport], Work],
    counted: Sequence[Sequence[bool]],
) -> list[ShardRecord]:
    """Every shard of one stage: those that are finished as they are, the others computed and kept.

    ``counted`` tells of each shard which images the progress speaks of: in a cascade an attack may also see some
    that were lost before.
    """
    records: list[ShardRecord] = []
    done = standing = 0
    observer.start(name, sum(worker.sizes))
    for shard, size in enumerate(worker.sizes):
        most = sum(counted[shard])

        def report(
            step: int,
            steps: int,
            left: int,
            done: int = done,
            before: int = standing,
            size: int = size,
            most: int = most,
        ) -> None:
            observer.advance(name, done + size * step / steps, before + min(left, most))

        record = run.get(position, shard)
        if record is None:
            lower = partial(halve, run, worker.target, observer)
            record, found = halving_on_out_of_memory(partial(work, shard, report), lower)
            run.put(position, record, found)
        records.append(record)
        left = sum(counts and stands for counts, stands in zip(counted[shard], record.survives, strict=True))
        done, standing = done + size, standing + left
        observer.advance(name, done, standing)
    observer.finish(name, standing)
    return records


def halve(run: Run, target: Target, observer: Observer) -> int:
    target.batch_size //= 2
    if target.batch_size:
        observer.note(f"out of memory: going on with {target.batch_size} images a pass")
        run.set_images_a_pass(target.batch_size)
    return target.batch_size
