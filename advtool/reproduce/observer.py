"""What a reproduction tells whoever watches it, and how it hears of the training or evaluation it is at."""

from collections.abc import Callable, Sequence

from torch import Tensor

from advtool.checkpoints import Header
from advtool.evaluation import observer as evaluation
from advtool.reproduce.plan import Step
from advtool.training import observer as training


class Observer:
    """Hears of a reproduction's progress and does nothing; the command line draws a bar in its place."""

    def planned(self, steps: Sequence[Step]) -> None:
        """Everything that will be done, in this order; a step's ``cost`` is relative."""

    def begin(self, step: Step) -> None:
        """``step`` is computed now."""

    def advance(self, share: float) -> None:
        """So much of the present step is done, in [0, 1]."""

    def finish(self, step: Step, *, kept: bool) -> None:
        """``step`` is over; ``kept``: it was finished before, and nothing was computed."""

    def note(self, message: str) -> None:
        """Something the user should know."""


class TrainingShare(training.Observer):
    """Turns a training's batches into the share of it that is done."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance, self._done, self._total = advance, 0, 1

    def started(self, header: Header, batches: int) -> None:
        self._total = batches * header.recipe["epochs"]

    def batch(self, loss: Tensor) -> None:  # noqa: ARG002 - reading the loss would make a GPU wait
        self._done += 1
        self._advance(self._done / self._total)


class EvaluationShare(evaluation.Observer):
    """Turns an evaluation's stages into the share of it that is done, every stage counting the same."""

    def __init__(self, stages: int, watcher: Observer) -> None:
        self._stages, self._watcher = stages, watcher
        self._finished, self._images = 0, 1

    def note(self, message: str) -> None:
        self._watcher.note(message)

    def start(self, stage: str, images: int) -> None:  # noqa: ARG002 - the step says what runs
        self._images = images

    def advance(self, stage: str, done: float, standing: int) -> None:  # noqa: ARG002
        self._watcher.advance(min(1.0, (self._finished + done / self._images) / self._stages))

    def finish(self, stage: str, standing: int) -> None:  # noqa: ARG002
        self._finished += 1
