"""The stage that plants adversarial examples into copies of the model. Which of them do the attacks find?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from advtool import seeding
from advtool.attacks.base import StepReport, TensorAttack, no_report
from advtool.attacks.registry import AttackSpec, build
from advtool.errors import InputError
from advtool.evaluation.planting.planter import BOUNDARY_POINTS, CLOSENESS, GRADIENT_STEPS, plant
from advtool.evaluation.planting.readout import CLEAN_CLASS, groups_apart
from advtool.evaluation.shard import Shard, ShardRecord, finite_or_none, or_nan
from advtool.evaluation.stage import Part, Stage
from advtool.evaluation.worker import Worker
from advtool.results import PLANTED, Outcome, Outcomes
from advtool.target.target import Target
from advtool.threat import ThreatModel

PLANTED_IMAGES = 50
"""How many of a run's first images get a planted example."""


class _Tried(NamedTuple):
    """What has become of the n images of a shard so far."""

    sure: Tensor
    """bool (n,): an example was planted"""
    found: Tensor
    """bool (n,): an attack found it"""
    margin: Tensor
    """of the last attack's candidate, float64 (n,); NaN where there is none"""
    found_by: dict[str, int]
    """by the label of each attack, in turn"""


@dataclass(frozen=True)
class Planting(Stage):
    """Plants an adversarial example for each of the first images, and attacks it in turn until an attack finds it."""

    label = PLANTED

    threat_model: ThreatModel
    specs: Sequence[AttackSpec]
    """the attacks of the run that follow the model itself, the cheapest first"""
    defaults: Mapping[str, Mapping[str, Any]]
    """by the name of an attack, the parameters that the run gives it"""
    passes: float
    """about what an image costs at most, in forward passes: to plant, and to attack with all of them"""

    def __str__(self) -> str:
        return f"{self.label} on the first {PLANTED_IMAGES} images"

    @property
    def parameters(self) -> dict[str, Any]:
        """What defines the planted examples beside the threat model."""
        return {
            "images": PLANTED_IMAGES,
            "boundary_points": BOUNDARY_POINTS,
            "gradient_steps": GRADIENT_STEPS,
            "closeness": list(CLOSENESS),
        }

    def asked(self, outcomes: Outcomes, rows: slice) -> Tensor:
        """The first images of the run, bool (n,)."""
        return torch.arange(len(outcomes))[rows] < PLANTED_IMAGES

    def standing(self, outcomes: Outcomes) -> Tensor:
        """The images whose planted example is found, bool (N,)."""
        return outcomes.of(self.label) == Outcome.found

    def compute(self, worker: Worker, part: Part, report: StepReport) -> tuple[ShardRecord, None]:
        """Plant examples for the images, and attack the copies of the model."""
        started, shard, places = worker.start_counting(), part.shard, part.asked.nonzero().squeeze(1)
        tried = _Tried(
            sure=torch.zeros_like(part.asked),
            found=torch.zeros_like(part.asked),
            margin=torch.full(part.asked.shape, math.nan, dtype=torch.float64),
            found_by={spec.label: 0 for spec in self.specs},
        )
        groups = groups_apart(shard.x[places], self.threat_model)
        for number, group in enumerate(groups):
            self._try(worker, shard, places[group], tried)
            report(number + 1, len(groups), int(tried.found.sum()))
        outcome = torch.where(tried.found, Outcome.found, Outcome.missed).where(tried.sure, Outcome.not_asked)
        record = worker.record(
            self.label,
            shard,
            started,
            outcome,
            margin=finite_or_none(tried.margin),
            found_by=tried.found_by,
            unplantable=_unplantable(len(places) - int(tried.sure.sum()), len(places), worker.target),
        )
        return record, None

    def _try(self, worker: Worker, shard: Shard, rows: Tensor, tried: _Tried) -> None:
        """Plant for the images at ``rows``, int64 (k,), whose balls do not overlap, and attack. ``tried`` notes it."""
        target, x, y, place = worker.target, shard.x[rows], shard.y[rows], shard.first + int(rows[0])
        stream = seeding.generator(target.device, worker.seed, self.label, place, "planter")
        with target.streams(worker.seed, self.label, place, "plant"):
            planted = plant(target, x.to(target.device), y.to(target.device), self.threat_model, stream)
        left = tried.sure[rows] = planted.sure.cpu()
        labels = torch.full_like(y, CLEAN_CLASS)
        copies = Worker(planted.target, x, labels, seed=worker.seed, images_a_shard=len(x))
        (all_of_them,) = copies.shards
        for label, attack in self._attacks_on(planted.target):
            if not left.any():
                break
            named = f"{self.label}, {label} from {place}"
            try:
                record, _ = copies.attack(attack, named, all_of_them, left, no_report)
            except InputError as error:
                raise InputError(f"{error}; planted=False (--no-planted) attacks the model itself alone") from None
            fell = torch.tensor(record.outcome) == Outcome.fallen
            tried.found[rows] |= fell
            tried.found_by[label] += int(fell.sum())
            tried.margin[rows[left]] = or_nan(record.margin)[left]
            target.calls.forward += record.model_calls.forward
            target.calls.backward += record.model_calls.backward
            left = left & ~fell

    def _attacks_on(self, copy: Target) -> list[tuple[str, TensorAttack]]:
        """The attacks on a copy of the model, each with its label."""
        return [
            (spec.label, build(spec, copy, self.threat_model, defaults=self.defaults.get(spec.name, {})))
            for spec in self.specs
        ]


def _unplantable(count: int, total: int, target: Target) -> str | None:
    """A line about the images for which nothing could be planted; None if there are none."""
    if not count:
        return None
    what = "beyond rounding and the noise of its votes" if target.randomised else "beyond rounding"
    return f"for {count} of {total} images no point that was tried in the ball changes the logits {what}"
