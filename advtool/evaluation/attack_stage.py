"""The stage that attacks the images of a run: in full or in a cascade, or as a probe at another eps."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advtool.attacks.base import StepReport, TensorAttack
from advtool.attacks.suites import Scope
from advtool.evaluation.diagnosed import DIAGNOSED_IMAGES, diagnosed_of
from advtool.evaluation.examples import Examples
from advtool.evaluation.shard import ShardRecord
from advtool.evaluation.stage import Part, Stage
from advtool.evaluation.worker import Worker
from advtool.results import Outcome, Outcomes

PASSES_OF_A_GRADIENT = 3
"""How many forward passes take about as long as one gradient."""
QUICK_PASSES = 50 * PASSES_OF_A_GRADIENT
"""What a quick attack costs at most, in forward passes of an image: as much as PGD with its usual 50 steps."""


@dataclass(frozen=True)
class AttackStage(Stage):
    """One attack of a run. ``probed_eps`` marks a probe at another eps, which does not count for the worst case."""

    label: str
    attack: TensorAttack
    scope: Scope
    probed_eps: float | None = None
    spares_certified: bool = True
    """its ball lies in the ball of the run, so what is proved robust there need not be attacked"""

    def __str__(self) -> str:
        return f"{self.label} on {self.scope}"

    @property
    def parameters(self) -> dict[str, Any]:
        """What defines the attack beside the threat model."""
        return self.attack.parameters()

    @property
    def is_probe(self) -> bool:
        """Whether it attacks at another eps than the run's."""
        return self.probed_eps is not None

    @property
    def one_step(self) -> bool:
        """Whether the attack makes its example of every image."""
        return self.attack.one_step

    @property
    def passes(self) -> float:
        """About what it costs at most for an image, in forward passes. A gradient counts as several."""
        return self.attack.most_queries * (PASSES_OF_A_GRADIENT if self.attack.follows_gradient else 1)

    @property
    def is_quick(self) -> bool:
        """Whether it takes so little time on every image that proofs can wait for it."""
        return self.scope is Scope.every and self.passes <= QUICK_PASSES

    def asked(self, outcomes: Outcomes, rows: slice) -> Tensor:
        """The images in its scope, without those that are certified where the attack can spare them."""
        asked = self._in_scope(outcomes, rows)
        # A one-step attack makes its example of every image, so its answer costs nothing: it checks the proofs.
        return asked & ~outcomes.certified[rows] if self.spares_certified and not self.one_step else asked

    def _in_scope(self, outcomes: Outcomes, rows: slice) -> Tensor:
        clean = outcomes.clean[rows]
        if self.scope is Scope.every:
            return clean
        standing = outcomes.standing_before(self.label)[rows]
        if self.scope is Scope.survivors:
            return standing
        diagnosed = diagnosed_of(outcomes, rows)
        return diagnosed if self.is_probe else standing | diagnosed

    def standing(self, outcomes: Outcomes) -> Tensor:
        """The images that have not fallen, bool (N,). In a cascade an image that fell earlier does not stand.

        In a probe those stand that survived it, and those that it spared since they are certified.
        """
        if self.is_probe:
            spared = torch.arange(len(outcomes)) < (DIAGNOSED_IMAGES if self.spares_certified else 0)
            return (outcomes.of(self.label) == Outcome.robust) | (outcomes.certified & spared)
        before = outcomes.clean if self.scope is Scope.every else outcomes.standing_before(self.label)
        return before & (outcomes.of(self.label) != Outcome.fallen)

    def compute(self, worker: Worker, part: Part, report: StepReport) -> tuple[ShardRecord, Examples | None]:
        """Attack the images. Of a random model single draws are counted too, where the margin is lower than before."""
        shard, asked, outcomes = part
        if self.is_probe:
            return worker.attack(self.attack, self.label, shard, asked, report)
        stood = int(self.standing(outcomes)[shard.rows].sum())
        met = outcomes.lowest_margin[shard.rows].nan_to_num(nan=-math.inf) if worker.target.randomised else None

        def tell(step: float, steps: float, standing: int) -> None:
            report(step, steps, min(standing, stood))  # it may work on images that do not stand

        return worker.attack(self.attack, self.label, shard, asked, tell, draws_below=met)
