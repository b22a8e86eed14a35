"""What a training tells its observer."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import Any

from torch import Tensor

from advtool.checkpoints import Header
from advtool.results import Collapse, Figures


class Observer:
    """Watches a training. Override the methods that you need; the others do nothing."""

    def resumed(self, header: Header, epochs: int) -> None:
        """The training that starts now goes on after ``epochs`` that are done; it had begun with this ``header``."""

    def started(self, header: Header, batches: int) -> None:
        """The training begins. The ``header`` has no metrics of epochs yet; an epoch has that many ``batches``."""

    def batch(self, loss: Tensor) -> None:
        """A batch is done. ``loss`` is the mean of the epoch so far, a scalar on the device: reading it takes time."""

    def epoch(self, figures: Figures, *, kept: bool) -> None:
        """An epoch is done and measured. ``kept`` says whether it is the best so far."""

    def collapsed(self, collapse: Collapse) -> None:
        """The last epoch showed catastrophic overfitting, for the first time in this training."""

    def saved(self, path: Path) -> None:
        """The best epoch so far was written to ``path``, in case the training does not reach its end."""

    def resumable(self, path: Path) -> None:
        """The state after the last epoch was written to ``path``: :func:`advtool.training.resume` goes on from it."""

    def finished(self, header: Header) -> None:
        """The training is over, and the output written. The ``header`` has all metrics."""

    def nothing_left(self, output: Path) -> None:
        """The training that should go on is over already: its checkpoint is at ``output``."""


class Observers(Observer):
    """Tells several observers everything, in turn."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers


def _told_to_all(method: FunctionType) -> Callable[..., None]:
    @wraps(method)
    def tell(self: Observers, *args: Any, **named: Any) -> None:
        for observer in self._observers:
            getattr(observer, method.__name__)(*args, **named)

    return tell


# Generated, so that a method that is new to an observer cannot be forgotten here.
for _name, _method in vars(Observer).items():
    if isinstance(_method, FunctionType):
        setattr(Observers, _name, _told_to_all(_method))
