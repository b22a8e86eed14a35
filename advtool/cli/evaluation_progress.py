"""Shows the progress of an evaluation on stderr: images done, images standing, time left."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from advtool.cli.progress import STDERR, Pace, has_bars, say
from advtool.evaluation.observer import Observer
from advtool.report.check import facts
from advtool.results import CERTIFIED, PLANTED, Check
from advtool.results.notation import duration
from advtool.target.opening.user_code import prints_to_stderr

SECONDS_BETWEEN_LINES = 30.0
POINT_MIN_SECONDS = 1.0
"""A point of a sweep that took less was finished before. Its time foretells nothing."""


class EvaluationProgress(Observer):
    """Draws a bar for each stage on a terminal, and writes a line for each stage elsewhere.

    Args:
        greeting: the first line. It waits until the run begins, so that a refused input is told in one line.
        folder: the folder of the run; Ctrl-C names it.
        notes: what the user should know of the model; these lines follow the greeting.
        begun: is called with the folder of each run that begins.
    """

    def __init__(
        self, greeting: str, folder: Path, notes: Sequence[str] = (), begun: Callable[[Path], None] | None = None
    ) -> None:
        self._unsaid, self._folder, self._begun = [greeting, *notes], folder, begun
        self._bars = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(max_width=20, no_wrap=True)),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=STDERR,
            disable=not has_bars(),
        )
        self._task = TaskID(0)
        self._shards = _Shards(0, 1)
        self._understood = False
        self._prints = prints_to_stderr()  # a model that prints must not spoil the answer on stdout
        self._pace = Pace()
        self._started = self._point_started = 0.0
        self._images = 0

    def __enter__(self) -> Self:
        self._prints.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._prints.__exit__(kind, error, trace)
        if isinstance(error, KeyboardInterrupt):
            say(f"finished parts are kept in {self._folder}: the same command goes on from there")

    def point(self, name: str, number: int, costs: Sequence[float]) -> None:
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        self._shards = _Shards(0, 1)
        self._unsaid.append(f"point {number + 1} of {len(costs)}: {name}{self._time_left(number, costs)}")
        self._point_started = time.monotonic()

    def begun(self, folder: Path) -> None:
        if self._begun is not None:
            self._begun(folder)

    def note(self, message: str) -> None:
        self._speak()
        say(message)

    def understood(self, check: Check) -> None:
        self._speak()
        for name, words in () if self._understood else facts(check):
            say(f"{name:<8} {words}")
        self._understood = True  # a sweep asks about the same model at every point

    def shards(self, done: int, shards: int) -> None:
        if shards == 1:
            return
        if shards != self._shards.total or done < self._shards.done:
            self._shards = _Shards(done, shards)
            self._task = self._bars.add_task("", total=shards, completed=done, amount="")
            self._pace = Pace()
        self._shards.done = done
        self._bars.update(self._task, completed=done)

    def waits(self, other: str) -> None:
        words = f"waits for another process, which {other}"
        if not self._bars.disable and self._task in self._bars.task_ids:
            self._bars.update(self._task, amount=words)
        elif self._pace.due(SECONDS_BETWEEN_LINES):
            say(words)

    def start(self, stage: str, images: int) -> None:
        self._speak()
        self._bars.start()
        if self._shards.total > 1:  # all shards have one bar, since each goes through all stages
            return
        self._task = self._bars.add_task(stage, total=images, amount="")
        self._pace, self._images = Pace(), images
        self._started = time.monotonic()

    def advance(self, stage: str, done: float, standing: int) -> None:
        if self._shards.total > 1:
            words = f"{self._shards}, {standing} {_counted(stage)}"
            self._bars.update(self._task, description=stage, amount=words)
            left = self._shards.time_left()
        else:
            words = f"{done:.0f} of {self._images} images done, {standing} {_counted(stage)}"
            amount = f"{done:.0f}/{self._images} images, {standing} {_counted(stage)}"
            self._bars.update(self._task, completed=done, amount=amount)
            seconds = (time.monotonic() - self._started) * (self._images - done) / done if done else 0.0
            left = f", at most about {duration(seconds)} left" if seconds else ""
        if self._bars.disable and self._pace.due(SECONDS_BETWEEN_LINES):
            say(f"{stage}: {words}{left}")

    def finish(self, stage: str, standing: int) -> None:
        if self._bars.disable:
            seconds = f" ({time.monotonic() - self._started:.1f} s)" if self._shards.total == 1 else ""
            say(f"{stage}: {standing} images {_counted(stage)}{seconds}")

    def _speak(self) -> None:
        for line in self._unsaid:
            say(line)
        self._unsaid.clear()

    def _time_left(self, number: int, costs: Sequence[float]) -> str:
        """The time for the remaining points, foretold from the last point."""
        seconds = time.monotonic() - self._point_started
        if number == 0 or seconds < POINT_MIN_SECONDS:
            return ""
        return f", about {duration(seconds / costs[number - 1] * sum(costs[number:]))} left"


@dataclass
class _Shards:
    """How many shards of a run are done, and how long the others take."""

    done: int
    total: int

    def __post_init__(self) -> None:
        self._before, self._started = self.done, time.monotonic()

    def __str__(self) -> str:
        return f"{self.done}/{self.total} shards"

    def time_left(self) -> str:
        """Foretold from the shards that were done since the start, by whichever process."""
        done = self.done - self._before
        seconds = (time.monotonic() - self._started) * (self.total - self.done) / done if done else 0.0
        return f", about {duration(seconds)} left" if seconds else ""


def _counted(stage: str) -> str:
    """What the stage counts its images as."""
    return {CERTIFIED: "proved robust", PLANTED: "found"}.get(stage, "standing")
