"""The progress of a reproduction on stderr: one bar over all its steps, weighed by what they are expected to cost."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from advtool.cli.progress import STDERR, say
from advtool.reproduce.observer import Observer
from advtool.reproduce.plan import Step
from advtool.results.notation import duration

LEAST_SHARE = 0.01
"""Of the cost computed so far, before a time left is foretold."""


class ReproductionProgress(Observer):
    """A bar on a terminal, a line a step elsewhere.

    Args:
        greeting: said when the first step begins, so that a refused input stays alone in its line.
        folder: of the run, named after Ctrl-C.
    """

    def __init__(self, greeting: str, folder: Path) -> None:
        self._greeting, self._folder = greeting, folder
        self._bar = Progress(
            TextColumn("{task.fields[number]}/{task.fields[steps]}"),
            BarColumn(bar_width=10),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console=STDERR,
            disable=not STDERR.is_terminal,
        )
        self._task = TaskID(0)
        self._total = self._done = self._computed = self._cost = 0.0
        self._steps = self._number = self._kept = 0
        self._started = 0.0
        self._noted: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if isinstance(error, KeyboardInterrupt):
            say(f"what was finished is kept in {self._folder}: the same command goes on from there")

    def planned(self, steps: Sequence[Step]) -> None:
        say(self._greeting)
        self._total, self._steps = sum(step.cost for step in steps), len(steps)
        self._task = self._bar.add_task("", total=self._total, number=0, steps=len(steps), left="")
        self._bar.start()
        self._started = time.monotonic()

    def begin(self, step: Step) -> None:
        if self._kept:
            say(f"{self._kept} steps were finished before and are kept")
            self._kept = 0
        self._cost = step.cost
        self._bar.update(self._task, description=step.title, number=self._number + 1)
        if self._bar.disable:
            left = self._left(0.0)
            say(f"step {self._number + 1} of {self._steps}: {step.title}{f', {left}' if left else ''}")

    def advance(self, share: float) -> None:
        self._bar.update(self._task, completed=self._done + share * self._cost, left=self._left(share))

    def finish(self, step: Step, *, kept: bool) -> None:
        self._number += 1
        self._done += step.cost
        self._cost = 0.0
        if kept:
            self._kept += 1
        else:
            self._computed += step.cost
        self._bar.update(self._task, completed=self._done, number=self._number, left=self._left(0.0))

    def note(self, message: str) -> None:
        if message not in self._noted:  # of fifty random models each says that it is one
            self._noted.add(message)
            say(message)

    def _left(self, share: float) -> str:
        """From the time that the steps computed so far took; those that were kept tell nothing."""
        computed = self._computed + share * self._cost
        if computed < LEAST_SHARE * self._total:
            return ""
        rest = self._total - self._done - share * self._cost
        return f"about {duration(rest * (time.monotonic() - self._started) / computed)} left"
