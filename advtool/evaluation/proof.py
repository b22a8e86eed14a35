"""The stage that proves images robust, and the decision whether a run has it."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from advtool.attacks.base import StepReport
from advtool.certification import Certifier, NotCertifiable
from advtool.evaluation.diagnosed import DIAGNOSED_IMAGES
from advtool.evaluation.manifest import Decision
from advtool.evaluation.shard import ShardRecord, finite_or_none
from advtool.evaluation.stage import Part, Stage
from advtool.evaluation.worker import Worker
from advtool.results import CERTIFIED, Outcome, Outcomes
from advtool.target.target import Target
from advtool.threat import ThreatModel

CHECKED_FALLEN = 20
"""For how many fallen images of a shard the bounds are asked at most, as a check: proving one of them is an error.

These are among the first ``DIAGNOSED_IMAGES`` of the run, and no more than stand in the shard.
"""


@dataclass(frozen=True, eq=False)
class Proof(Stage):
    """Proves that images have no adversarial example. What is proved is not attacked any further."""

    label = CERTIFIED

    target: Target
    few: Tensor
    """a few images, float32 (n, C, H, W) on the device"""
    threat_model: ThreatModel
    seconds: float
    """for each image that linear bounds leave undecided"""

    def __str__(self) -> str:
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

    def asked(self, outcomes: Outcomes, rows: slice) -> Tensor:
        """The images that stand, and as a check a few that fell (``CHECKED_FALLEN``), bool (n,)."""
        standing, clean = outcomes.standing_before(self.label)[rows], outcomes.clean[rows]
        first = torch.arange(len(outcomes))[rows] < DIAGNOSED_IMAGES
        fallen = clean & ~standing & first
        checked = min(CHECKED_FALLEN, int(standing.sum()))
        return standing | (fallen & (fallen.cumsum(0) <= checked))

    def standing(self, outcomes: Outcomes) -> Tensor:
        """The images that are proved robust, bool (N,)."""
        return outcomes.certified

    def compute(self, worker: Worker, part: Part, report: StepReport) -> tuple[ShardRecord, None]:
        """Prove what can be proved of the images."""
        started, target, shard = worker.start_counting(), worker.target, part.shard
        x, y, rows = (tensor.to(target.device) for tensor in (shard.x, shard.y, part.asked.nonzero().squeeze(1)))
        outcome = torch.full_like(y, Outcome.not_asked)
        lower = torch.full((len(x),), math.nan, dtype=torch.float64, device=target.device)
        method = None
        if len(rows):
            with target.streams(worker.seed, self.label, shard.first):
                certificate = self.certifier.certify(
                    x[rows], y[rows], self.threat_model, seconds=self.seconds, report=report
                )
            outcome[rows] = torch.where(certificate.certified, Outcome.proved, Outcome.unproved)
            lower[rows], method = certificate.lower, certificate.method
        return worker.record(self.label, shard, started, outcome, margin=finite_or_none(lower), method=method), None
