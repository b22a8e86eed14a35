"""What a training tells whoever watches it."""

from pathlib import Path

from torch import Tensor

from advtool.checkpoints import Header
from advtool.training.history import Collapse, Figures


class Observer:
    """Watches a training; override what you care about, the rest does nothing."""

    def started(self, header: Header, batches: int) -> None:
        """Training begins: its card, without metrics yet, and the number of batches an epoch."""

    def batch(self, loss: Tensor) -> None:
        """A batch is done; ``loss``, the epoch's mean so far, is a scalar on the device: reading it waits."""

    def epoch(self, figures: Figures, *, kept: bool) -> None:
        """An epoch is done and validated; ``kept``: it is the best so far."""

    def collapsed(self, collapse: Collapse) -> None:
        """Catastrophic overfitting showed for the first time, in the epoch that was just told of."""

    def saved(self, path: Path) -> None:
        """The best epoch so far lies at ``path``, in case that training does not reach its end."""

    def finished(self, header: Header) -> None:
        """Training is over: the card with all its metrics, those of the kept epoch first."""
