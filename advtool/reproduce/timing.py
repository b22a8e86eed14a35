"""What an epoch of each training costs: all take turns, so that a busy machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median, stdev

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from advtool import seeding
from advtool.files import write_atomically
from advtool.reproduce.plan import Timing
from advtool.results import Figure, Panel, Point, Row, Series
from advtool.training import loop
from advtool.training.schedule import Updates, schedule_of
from advtool.training.session import Prepared

Epoch = Callable[[], None]


class Timed(BaseModel):
    """Seconds of each timed epoch, by the model's name, in the order in which they ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: dict[str, list[float]]
    device: str
    threads: int

    def median(self, name: str) -> float:
        """Of one model's epochs, in seconds."""
        return median(self.seconds[name])

    def epoch(self, name: str) -> Figure:
        """Seconds an epoch: the median and the standard deviation of the single ones."""
        return _median_of(self.median(name), self.seconds[name])

    def times(self, name: str, to: str) -> float:
        """How many times as long as another model's an epoch takes: the ratio of the medians."""
        return self.median(name) / self.median(to)

    def ratio(self, name: str, to: str, paper: float | None = None) -> Figure:
        """:meth:`times`, with the standard deviation of the single turns' ratios."""
        if name == to:
            return Figure(paper=paper, ours=1.0)
        turns = [a / b for a, b in zip(self.seconds[name], self.seconds[to], strict=True)]
        return _median_of(self.times(name, to), turns, paper)


def _median_of(value: float, turns: Sequence[float], paper: float | None = None) -> Figure:
    return Figure(paper=paper, ours=value, deviation=stdev(turns) if len(turns) > 1 else None, repeats=len(turns))


def epoch_of(prepared: Prepared, seed: int = 0) -> Epoch:
    """One epoch of a training without its validation; every call trains on."""
    training, recipe = prepared.training, prepared.recipe
    steps = loop.batches_per_epoch(len(training), recipe.batch_size)
    updates = Updates(prepared.model, recipe, schedule_of(recipe, 1000 * steps))
    generator = seeding.generator(training.images.device, seed, "timing")
    fixed = None if prepared.fixed is None else prepared.fixed.training
    numbers = cycle(range(1, 1000))

    def epoch() -> None:
        batches = loop.batches(training, recipe.batch_size, seed, next(numbers), fixed)
        last = torch.zeros(())
        losses = loop.train_on(
            batches, prepared.model, recipe, updates, threat_model=prepared.threat_model, generator=generator
        )
        for loss, _ in losses:
            last = loss
        last.item()  # waits for the device

    return epoch


def take_turns(
    epochs: Mapping[str, Epoch], repeats: int, advance: Callable[[float], None] = lambda _: None
) -> dict[str, list[float]]:
    """The seconds of ``repeats`` epochs of each, one after the other, after a round to warm up.

    Args:
        epochs: each trains one epoch and waits for the device.
        repeats: how many of each are timed.
        advance: hears the share that is done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    done = 0
    for turn in range(repeats + 1):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            if turn:
                seconds[name].append(time.perf_counter() - start)
            done += 1
            advance(done / ((repeats + 1) * len(epochs)))
    return seconds


def read(path: Path, timing: Timing, device: torch.device) -> Timed | None:
    """What was timed before, if it was the same on the same kind of device; else None."""
    try:
        found = Timed.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    wanted = {model.name for model in timing.models}
    complete = all(len(times) == timing.repeats for times in found.seconds.values())
    same_place = (found.device, found.threads) == (device.type, torch.get_num_threads())
    return found if found.seconds.keys() == wanted and complete and same_place else None


def write(path: Path, timed: Timed) -> None:
    """Keep what was timed."""
    write_atomically(path, (timed.model_dump_json(indent=2) + "\n").encode())


def seconds_panel(rows: Sequence[Row], dataset: str, column: str) -> Panel:
    """Bars of the seconds an epoch in ``column``, for the rows of a data set (their first label)."""
    here = [row for row in rows if row.labels[0] == dataset]
    points = [Point(x=", ".join(filter(None, row.labels[1:])), y=row.figures[column].ours or 0.0) for row in here]
    return Panel(
        title=f"{dataset}: seconds an epoch",
        kind="bars",
        y_label="seconds",
        share=False,
        series=[Series(name="ours", points=points)],
    )
