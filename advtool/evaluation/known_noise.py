"""The stage that attacks a random model whose noise is known: fixed while the attack searches, and while it is judged.

An attacker knows the noise of a model that draws it once for all, or from a weak generator. What the votes hide is not
hidden then: each field of noise makes a model without randomness, and an image holds in it or falls.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advtool import seeding
from advtool.attacks.base import StepReport, no_report
from advtool.attacks.candidates import Candidates
from advtool.attacks.pgd import PGD
from advtool.evaluation.shard import FIELDS, ShardRecord
from advtool.evaluation.stage import Part, Stage
from advtool.evaluation.verification import verify
from advtool.evaluation.worker import Worker
from advtool.results import KNOWN_NOISE, Outcome, Outcomes
from advtool.target.known_noise import with_known_noise
from advtool.target.scores import predictions
from advtool.target.target import Target
from advtool.threat import ThreatModel


@dataclass(frozen=True)
class KnownNoiseStage(Stage):
    """Attacks every image by PGD in a few fields of noise, one after the other."""

    label = KNOWN_NOISE

    threat_model: ThreatModel
    steps: int
    """of PGD in each field"""

    def __str__(self) -> str:
        return f"{self.label} on every image"

    @property
    def parameters(self) -> dict[str, Any]:
        """What defines the attack beside the threat model."""
        return {"fields": FIELDS, "attack": self.attack}

    @property
    def attack(self) -> str:
        """What searches in each field."""
        return f"{PGD.name}(steps={self.steps})"

    @property
    def gradients(self) -> int:
        """What an image costs."""
        return FIELDS * self.steps

    def asked(self, outcomes: Outcomes, rows: slice) -> Tensor:
        """All images, bool (n,)."""
        return torch.ones_like(outcomes.clean[rows])

    def standing(self, outcomes: Outcomes) -> Tensor:
        """The images that hold in every field, bool (N,)."""
        return outcomes.of(self.label) == Outcome.missed

    def compute(self, worker: Worker, part: Part, report: StepReport) -> tuple[ShardRecord, None]:
        """Attack all images of the shard in each field."""
        started, shard, target = worker.start_counting(), part.shard, worker.target
        x, y = shard.x.to(target.device), shard.y.to(target.device)
        held = torch.ones(len(x), FIELDS, dtype=torch.bool)
        for field in range(FIELDS):
            place = (self.label, field, shard.first)
            stream = seeding.generator(target.device, worker.seed, *place, "attack")
            held[:, field] = self._holds(with_known_noise(target, worker.seed, *place), x, y, stream)
            report(field + 1, FIELDS, int(held.all(1).sum()))
        outcome = torch.where(held.all(1), Outcome.missed, Outcome.found)
        queries = [self.gradients] * len(x)
        return worker.record(self.label, shard, started, outcome, queries=queries, fields_held=held.tolist()), None

    def _holds(self, target: Target, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Whether each image is right, and after PGD too, by a target whose noise is known: bool (n,)."""
        found = _WholeBatch(x, y, target)
        PGD(target, self.threat_model, steps=self.steps).climb(x, y, found, generator, no_report)
        verdict = verify(target.scores, found.x, x, y, self.threat_model)
        return (predictions(target.scores(x)) == y) & ~verdict.adversarial


class _WholeBatch(Candidates):
    """Candidates of which none is dropped: the noise of an image is that of its row in the batch."""

    def drop_fallen(self, at_least: float = 0.1) -> None:
        """None goes."""
