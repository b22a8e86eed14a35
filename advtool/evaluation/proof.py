"""The stage that proves images robust, and the decision whether a run has it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from advtool.attacks.base import StepReport
from advtool.certification import Certificate, Certifier, NotCertifiable
from advtool.results import CERTIFIED
from advtool.target.target import Target
from advtool.threat import ThreatModel


class Decision(BaseModel):
    """Whether a run proves images robust. It is made once and kept with the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passes: float | None = None
    """about what the bounds of an image cost, in forward passes; None if the model has none"""
    reason: str | None = None
    """why the run does without proofs; None: it has them"""


@dataclass(frozen=True, eq=False)
class Proof:
    """Proves that images have no adversarial example. What is proved is not attacked any further."""

    label: ClassVar[str] = CERTIFIED

    target: Target
    few: Tensor
    """a few images, float32 (n, C, H, W) on the device"""
    threat_model: ThreatModel
    seconds: float
    """for each image that linear bounds leave undecided"""

    def __str__(self) -> str:
        """The label, and which images it sees."""
        return f"{self.label} on images that stand"

    @property
    def parameters(self) -> dict[str, Any]:
        """What defines the proofs beside the threat model."""
        return {"seconds": self.seconds}

    @cached_property
    def certifier(self) -> Certifier:
        """The bounds of the model, made when they are needed first.

        Raises:
            NotCertifiable: the model has none.
        """
        return Certifier(self.target, self.few)

    def decide(self, passes_of_attacks: float, *, insisted: bool) -> Decision:
        """Whether to prove: always if somebody insists, otherwise if the bounds cost no more than the attacks.

        Args:
            passes_of_attacks: what all attacks together cost at most for an image, in forward passes.
            insisted: ``certify`` is True.
        """
        try:
            passes = self.certifier.passes(self.few, self.threat_model)
        except NotCertifiable as error:
            return Decision(reason=str(error))
        if insisted or passes <= passes_of_attacks:
            return Decision(passes=passes)
        return Decision(
            passes=passes,
            reason=f"the bounds of an image cost about as much as {passes:.0f} forward passes, and the attacks at most "
            f"{passes_of_attacks:.0f}; --certify insists",
        )

    def prove(self, x: Tensor, y: Tensor, report: StepReport) -> Certificate:
        """What the bounds prove of images (n, C, H, W) with labels (n,), on the device."""
        return self.certifier.certify(x, y, self.threat_model, seconds=self.seconds, report=report)
