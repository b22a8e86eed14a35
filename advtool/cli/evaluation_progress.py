"""The progress of an evaluation on stderr: images done, images standing, time left."""

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from advtool.cli.progress import STDERR, say
from advtool.evaluation.observer import Observer

SECONDS_BETWEEN_LINES = 30.0


class EvaluationProgress(Observer):
    """A bar a stage on a terminal, a line a stage elsewhere.

    Args:
        greeting: said when the first stage begins, so that a refused input stays alone in its line.
    """

    def __init__(self, greeting: str) -> None:
        self._greeting = greeting
        self._bars = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(max_width=20, no_wrap=True)),
            BarColumn(bar_width=10),
            TextColumn("{task.completed:.0f}/{task.total:.0f} images, {task.fields[standing]} standing"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=STDERR,
            disable=not STDERR.is_terminal,
        )
        self._task = TaskID(0)
        self._started = self._told = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def note(self, message: str) -> None:
        say(message)

    def start(self, stage: str, images: int) -> None:
        if self._greeting:
            say(self._greeting)
            self._greeting = ""
            self._bars.start()
        self._task = self._bars.add_task(stage, total=images, standing=images)
        self._started = self._told = time.monotonic()

    def advance(self, stage: str, done: float, standing: int) -> None:
        self._bars.update(self._task, completed=done, standing=standing)
        if self._bars.disable and time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            say(f"{stage}: {done:.0f} images done, {standing} standing")

    def finish(self, stage: str, standing: int) -> None:
        if self._bars.disable:
            say(f"{stage}: {standing} images standing ({time.monotonic() - self._started:.1f} s)")
