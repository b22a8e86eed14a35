"""What every stage of a run tells of itself, and computes. The clean pass alone stands before all stages."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from advtool.attacks.base import StepReport
from advtool.evaluation.examples import Examples
from advtool.evaluation.shard import Shard, ShardRecord
from advtool.evaluation.worker import Worker
from advtool.results import Outcomes


class Part(NamedTuple):
    """What a stage has to do on one shard."""

    shard: Shard
    """n images and their labels"""
    asked: Tensor
    """bool (n,): which of them the stage works on"""
    outcomes: Outcomes
    """of the run so far; they hold every earlier stage on these images"""


class Stage(ABC):
    """A stage of a run. A new kind of stage is one subclass in a file of its own, and a place in the run's order."""

    label: str
    """its name in the run"""

    @abstractmethod
    def __str__(self) -> str:
        """The label, and which images it sees."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What defines it beside the threat model."""

    @property
    def is_probe(self) -> bool:
        """Whether it attacks at another eps than the run's, which does not count for the worst case."""
        return False

    @property
    def one_step(self) -> bool:
        """Whether it makes an adversarial example of every image, so that the accuracy on examples can be told."""
        return False

    @property
    def spares_certified(self) -> bool:
        """Whether what falls in it refutes a proof, so that what is proved robust need not be attacked."""
        return False

    @abstractmethod
    def asked(self, outcomes: Outcomes, rows: slice) -> Tensor:
        """Which images at ``rows`` it works on, bool (n,). ``outcomes`` must hold every earlier stage there."""

    @abstractmethod
    def standing(self, outcomes: Outcomes) -> Tensor:
        """Which images stand in it, as its progress counts them, bool (N,)."""

    @abstractmethod
    def compute(self, worker: Worker, part: Part, report: StepReport) -> tuple[ShardRecord, Examples | None]:
        """Compute it on one shard.

        Args:
            worker: has the model and the seed of the run.
            part: what is to do.
            report: is told of the progress.

        Returns:
            The record, and the verified adversarial examples of an attack.
        """
