"""The progress of a reproduction on stderr: which step of how many it is at, and how far that one is."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column
from torch import Tensor

from advtool.checkpoints import Header
from advtool.cli.progress import STDERR, has_bars, say
from advtool.reproduce.observer import Observer
from advtool.reproduce.steps import Step, title


class ReproductionProgress(Observer):
    """A bar of the present step on a terminal, a line a step elsewhere.

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
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console=STDERR,
            disable=not has_bars(),
        )
        self._task = TaskID(0)
        self._steps = self._number = self._kept = self._before = self._done = self._total = 0
        self._title = ""
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
        self._steps = len(steps)
        self._task = self._bar.add_task("", total=1.0, number=0, steps=len(steps))
        self._bar.start()

    def begin(self, step: Step) -> None:
        if self._kept:
            say(f"{self._kept} steps were finished before and are kept")
            self._kept = 0
        self._title = title(step)
        self._bar.update(self._task, completed=0.0, description=self._title, number=self._number + 1)
        if self._bar.disable:
            say(f"step {self._number + 1} of {self._steps}: {self._title}")

    def end(self, step: Step, *, kept: bool) -> None:
        del step
        self._number += 1
        self._kept += kept
        self._bar.update(self._task, completed=1.0, number=self._number)

    def resumed(self, header: Header, epochs: int) -> None:  # noqa: ARG002 - the step says what trains
        self._before = epochs

    def started(self, header: Header, batches: int) -> None:
        self._done, self._total = batches * self._before, batches * header.recipe["epochs"]
        self._before = 0

    def batch(self, loss: Tensor) -> None:  # noqa: ARG002 - reading the loss would make a GPU wait
        self._done += 1
        self.timed(self._done / self._total)

    def start(self, stage: str, images: int) -> None:
        self._total = images
        self._bar.update(self._task, completed=0.0, description=f"{self._title} ({stage})")

    def advance(self, stage: str, done: float, standing: int) -> None:  # noqa: ARG002 - the step says what runs
        self.timed(done / self._total)

    def timed(self, share: float) -> None:
        self._bar.update(self._task, completed=share)

    def note(self, message: str) -> None:
        if message not in self._noted:  # of fifty random models each says that it is one
            self._noted.add(message)
            say(message)
