"""What a reproduction tells whoever watches it, and how it hears of the training or evaluation it is at."""

from collections.abc import Sequence

from torch import Tensor

from advtool.checkpoints import Header
from advtool.evaluation import observer as evaluation
from advtool.reproduce.steps import Step
from advtool.training import observer as training


class Observer:
    """Hears of a reproduction's progress and does nothing; the command line draws a bar instead."""

    def planned(self, steps: Sequence[Step]) -> None:
        """Everything that will be done, in this order."""

    def begin(self, step: Step) -> None:
        """``step`` is computed now."""

    def advance(self, share: float, part: str = "") -> None:
        """So much of the present step, or of the named part of it, is done, in [0, 1]."""

    def finish(self, step: Step, *, kept: bool) -> None:
        """``step`` is over; ``kept``: it was finished before, and nothing was computed."""

    def note(self, message: str) -> None:
        """Something the user should know."""


class Share(training.Observer, evaluation.Observer):
    """Turns the batches of a training, or the images of an evaluation's stage, into the share that is done."""

    def __init__(self, watcher: Observer) -> None:
        self._watcher, self._done, self._total = watcher, 0, 1

    def started(self, header: Header, batches: int) -> None:
        self._total = batches * header.recipe["epochs"]

    def batch(self, loss: Tensor) -> None:  # noqa: ARG002 - reading the loss would make a GPU wait
        self._done += 1
        self._watcher.advance(self._done / self._total)

    def note(self, message: str) -> None:
        self._watcher.note(message)

    def start(self, stage: str, images: int) -> None:
        self._total = images
        self._watcher.advance(0.0, stage)

    def advance(self, stage: str, done: float, standing: int) -> None:  # noqa: ARG002
        self._watcher.advance(min(1.0, done / self._total), stage)
