"""The progress of an evaluation on stderr: images done, images standing, time left."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from advtool.cli.progress import STDERR, say
from advtool.evaluation.observer import Observer


class EvaluationBars(Observer):
    """A bar a stage on a terminal; elsewhere what is left of them when the run ends."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f} images, {task.fields[standing]} standing"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=STDERR,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, message: str) -> None:
        say(message)

    def start(self, stage: str, images: int) -> None:
        self._task = self._progress.add_task(stage, total=images, standing=images)

    def advance(self, stage: str, done: float, standing: int) -> None:
        del stage
        if self._task is not None:
            self._progress.update(self._task, completed=done, standing=standing)

    def finish(self, stage: str, standing: int) -> None:
        del stage, standing
