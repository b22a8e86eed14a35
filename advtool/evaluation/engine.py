"""The engine of a run: shard by shard, and within a shard stage by stage, over one array of outcomes."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from torch import Tensor

from advtool.attacks.base import StepReport, no_report
from advtool.evaluation import contradiction
from advtool.evaluation.contradiction import ContradictionError
from advtool.evaluation.examples import Examples
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.observer import Observer
from advtool.evaluation.run import Run
from advtool.evaluation.shard import Shard, ShardRecord
from advtool.evaluation.stage import Part, Stage
from advtool.evaluation.worker import Worker
from advtool.ranks import ALONE, Ranks
from advtool.results import CLEAN, Outcome, notation
from advtool.target.memory_use import halving_on_out_of_memory
from advtool.target.target import Target

SHOWN_IMAGES = 8
"""For so many images, the first that fall, a run always keeps an adversarial example."""
SECONDS_BETWEEN_LOOKS = 1
"""Between two looks at the shards that other processes have claimed, while nothing else is left."""

Work = Callable[[StepReport], tuple[ShardRecord, Examples | None]]
"""Computes one stage on one shard. Gives its record, and the adversarial examples that an attack found."""


class Engine:
    """Computes the unfinished part of a run, and keeps it.

    Args:
        run: keeps the finished shards, in a folder or in memory.
        worker: computes one stage on one shard.
        stages: in their order, without the clean stage.
        observer: is told of the progress.
        indices: the index of each image in its data set, for messages.
        lower: called when memory runs out: halves the images in a pass, see :func:`halve`.
        ranks: of several processes each begins with another shard.
    """

    def __init__(
        self,
        run: Run,
        worker: Worker,
        stages: Sequence[Stage],
        observer: Observer,
        indices: Sequence[int],
        lower: Callable[[], int],
        ranks: Ranks = ALONE,
    ) -> None:
        self._lower, self._ranks = lower, ranks
        self.run, self.worker, self.stages, self.observer, self.indices = run, worker, stages, observer, indices
        self.ledger = self._new_ledger()
        self._images_done: dict[str, int] = {}
        """how many images are through each stage, by the name that the observer hears"""

    def compute(self) -> Ledger:
        """Compute every stage on every shard that is not finished. Returns the outcomes and costs of all.

        Processes that share a folder share the work: each claims a shard before it computes it. This one leaves shards
        that others have claimed for later, and ends when all are finished, whoever finished them.

        Raises:
            ContradictionError: an attack broke an image that is proved robust.
        """
        shards = self._in_turn()
        before = [shard for shard in shards if self._is_there(shard)]
        self.observer.shards(len(before), len(shards))
        for shard in before:
            self._compute(shard)
        left = [shard for shard in shards if not self._is_there(shard)]
        while left:
            claimed = [shard for shard in left if not self._finish_shard(shard)]
            if len(claimed) == len(left):
                self.observer.waits(f"computes {notation.counted(len(claimed), 'shard')}")
                time.sleep(SECONDS_BETWEEN_LOOKS)
            left = claimed
        return self._whole_ledger()

    def _in_turn(self) -> list[Shard]:
        """The shards in the order in which this process takes them up.

        Of several processes each begins at a place of its own: where the file system has no locks, nobody sees claims.
        """
        shards = self.worker.shards
        first = self._ranks.rank * len(shards) // self._ranks.world_size
        return shards[first:] + shards[:first]

    def _finish_shard(self, shard: Shard) -> bool:
        """Finish a shard, unless another process has claimed it; then False."""
        with self.run.claim(f"{shard.number:04d}") as ours:
            if ours:
                tell_of_damage(self.run, self.run.look_again(shard.number), self.observer)
                self._compute(shard)
                done = sum(map(self._is_there, self.worker.shards))
                self.observer.shards(done, len(self.worker.shards))
        return ours

    def _is_there(self, shard: Shard) -> bool:
        return all(self.run.get(position, shard.number) for position in range(1 + len(self.stages)))

    def _compute(self, shard: Shard) -> None:
        """Compute what is missing of a shard, stage by stage; what is there is entered into the ledger."""
        outcomes = self.ledger.outcomes
        self._finish_part(0, CLEAN, shard, lambda _: (self.worker.classify(shard), None), lambda: outcomes.clean)
        for position, stage in enumerate(self.stages, start=1):
            part = Part(shard, stage.asked(outcomes, shard.rows), outcomes)
            name = f"probe, {stage.label}" if stage.is_probe else stage.label
            work = partial(stage.compute, self.worker, part)
            self._finish_part(position, name, shard, work, partial(stage.standing, outcomes))
            self._refuse_contradiction(shard)

    def _new_ledger(self) -> Ledger:
        return Ledger(
            [stage.label for stage in self.stages],
            sum(len(shard.y) for shard in self.worker.shards),
            one_step=[stage.label for stage in self.stages if stage.one_step],
            probes=[stage.label for stage in self.stages if stage.is_probe],
        )

    def _whole_ledger(self) -> Ledger:
        """The outcomes and costs of all, entered shard by shard: the answer is the same in whatever order they came."""
        ledger = self._new_ledger()
        for shard in self.worker.shards:
            for position in range(1 + len(self.stages)):
                record = self.run.get(position, shard.number)
                assert record is not None
                ledger.enter(position, shard.first, record)
        return ledger

    def _shown(self, stage: str, found: Examples | None) -> Examples | None:
        """The examples of images that no earlier attack broke, as long as few images of the run fell before."""
        outcomes = self.ledger.outcomes
        if found is None or stage in outcomes.probes:
            return None
        room = SHOWN_IMAGES - int((outcomes.clean & ~outcomes.worst_case).sum())
        return found.part(outcomes.worst_case[found.places.cpu()].nonzero().squeeze(1)[: max(0, room)])

    def _refuse_contradiction(self, shard: Shard) -> None:
        outcomes = self.ledger.outcomes
        certified = outcomes.certified[shard.rows]
        for stage in self.stages if certified.any() else ():
            if stage.spares_certified:
                both = certified & (outcomes.of(stage.label)[shard.rows] == Outcome.fallen)
                if both.any():
                    raise ContradictionError(self._witnessed(stage, shard, int(both.nonzero()[0])))

    def _witnessed(self, stage: Stage, shard: Shard, row: int) -> str:
        """A line about an image that is proved robust and that ``stage`` broke. What witnesses both is kept."""
        outcomes, place = self.ledger.outcomes, shard.first + row
        line = f"{stage.label} broke image {self.indices[place]} (place {place} in the run), which is proved robust"
        if self.run.folder is None:
            return f"{line}; the witnesses are lost, since this run has no folder (run_dir)"
        asked = outcomes.asked(stage.label)[shard.rows]  # the same question finds the same example again
        found = stage.compute(self.worker, Part(shard, asked, outcomes), no_report)[1]
        examples = {} if found is None else dict(zip(found.places.tolist(), found.images, strict=True))
        witnesses = {"image": shard.x[row], "label": shard.y[row], "lower": outcomes.lower[place]}
        if place in examples:
            witnesses["example"] = examples[place]
        return f"{line}; what witnesses it is in '{contradiction.keep(self.run.folder, place, witnesses)}'"

    def _finish_part(self, position: int, name: str, shard: Shard, work: Work, standing: Callable[[], Tensor]) -> None:
        """Finish one stage on one shard.

        Args:
            position: of the stage in the run.
            name: of the stage, for the observer.
            shard: the images.
            work: computes the record.
            standing: tells which images of the run stand in the stage, bool (N,), or which it has proved or found.
        """
        images = len(self.ledger.outcomes)
        if name not in self._images_done:
            self._images_done[name] = 0
            self.observer.start(name, images)
        record = self.run.get(position, shard.number)
        if record is None:
            before = standing()
            elsewhere = int(before.sum() - before[shard.rows].sum())
            size, done = len(shard.y), self._images_done[name]

            def report(step: float, steps: float, counted: int) -> None:
                self.observer.advance(name, done + size * step / steps, elsewhere + counted)

            record, examples = halving_on_out_of_memory(partial(work, report), self._lower)
            self.run.put(position, record, examples, self._shown(record.stage, examples))
        self.ledger.enter(position, shard.first, record)
        self._images_done[name] += len(shard.y)
        left = int(standing().sum())
        self.observer.advance(name, self._images_done[name], left)
        if self._images_done[name] == images:
            self.observer.finish(name, left)


def tell_of_damage(run: Run, names: Collection[str], observer: Observer) -> None:
    """Say which shards of a run are damaged."""
    for name in sorted(names):
        observer.note(f"run '{run.folder}': shard {name} is damaged and is computed again")


def halve(run: Run, targets: Mapping[str, Target], observer: Observer) -> int:
    """Halve the number of images in a pass, and note it in the run.

    Nothing tells which model ran out of memory, so each is asked for fewer.

    Args:
        run: keeps the new numbers.
        targets: the models, by the names of these numbers in the environment.
        observer: is told.

    Returns:
        The largest of the new numbers; 0 if not even one image fitted.
    """
    if all(target.batch_size == 1 for target in targets.values()):
        return 0
    for target in targets.values():
        target.batch_size = max(1, target.batch_size // 2)
    passes = {key: target.batch_size for key, target in targets.items()}
    counts = " and ".join(map(str, passes.values()))
    observer.note(f"out of memory: going on with {counts} images a pass{', the surrogate last' * (len(passes) > 1)}")
    run.set_passes(passes)
    return max(passes.values())
