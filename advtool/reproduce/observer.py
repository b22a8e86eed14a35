"""What a reproduction tells whoever watches it."""

from collections.abc import Sequence

from advtool.evaluation import observer as evaluation
from advtool.reproduce.steps import Step
from advtool.training import observer as training


class Observer(training.Observer, evaluation.Observer):
    """Hears of every step, and of the training or evaluation that it is; does nothing. The command line draws a bar."""

    def planned(self, steps: Sequence[Step]) -> None:
        """Everything that will be done, in this order."""

    def begin(self, step: Step) -> None:
        """``step`` is computed now."""

    def timed(self, share: float) -> None:
        """So much of the present timing is done, in [0, 1]."""

    def end(self, step: Step, *, kept: bool) -> None:
        """``step`` is over; ``kept``: it was finished before, and nothing was computed."""
