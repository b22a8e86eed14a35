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
from advtool.evaluation.shard import Shard, ShardRecord, finite_or_none
from advtool.evaluation.stage import Part, Stage
from advtool.evaluation.worker import Worker, seconds_since
from advtool.results import PLANTED, Outcome, Outcomes
from advtool.target.target import CallCounter, Target
from advtool.threat import ThreatModel

PLANTED_IMAGES = 50
"""How many of a run's first images get a planted example."""


class _Tried(NamedTuple):
    """What became of n images."""

    sure: Tensor
    """bool (n,): an example was planted"""
    found: Tensor
    """bool (n,): an attack found one"""
    margin: Tensor
    """of the last attack's candidate, (n,); NaN where there is none"""
    found_by: dict[str, int]
    """by the label of an attack, in turn"""
    calls: CallCounter
    """of the attacks"""


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
        started, target, shard = worker.start_counting(), worker.target, part.shard
        places = part.asked.nonzero().squeeze(1)
        tried = self._try_all(worker, shard, places, report)
        outcome = torch.where(tried.found, Outcome.found, Outcome.missed).where(tried.sure, Outcome.not_asked)
        target.calls.forward += tried.calls.forward
        target.calls.backward += tried.calls.backward
        record = ShardRecord(
            stage=self.label,
            shard=shard.number,
            images_a_pass=target.batch_size,
            outcome=outcome.tolist(),
            prediction=shard.y.tolist(),
            margin=finite_or_none(tried.margin),
            step=[None] * len(outcome),
            queries=[0] * len(outcome),
            found_by=tried.found_by,
            unplantable=_unplantable(len(places) - int(tried.sure.sum()), len(places), randomised=target.randomised),
            seconds=seconds_since(started),
            model_calls=worker.model_calls,
        )
        return record, None

    def _try_all(self, worker: Worker, shard: Shard, places: Tensor, report: StepReport) -> _Tried:
        """What becomes of the images of a shard if those at ``places``, int64 (k,), get a planted example."""
        whole = _Tried(
            sure=torch.zeros(len(shard.y), dtype=torch.bool),
            found=torch.zeros(len(shard.y), dtype=torch.bool),
            margin=torch.full((len(shard.y),), math.nan),
            found_by=dict.fromkeys((spec.label for spec in self.specs), 0),
            calls=CallCounter(),
        )
        groups = groups_apart(shard.x[places], self.threat_model)
        for number, group in enumerate(groups):
            rows = places[group]
            tried = self._try(worker, shard.x[rows], shard.y[rows], shard.first + int(rows[0]))
            whole.sure[rows], whole.found[rows], whole.margin[rows] = tried.sure, tried.found, tried.margin
            for label, count in tried.found_by.items():
                whole.found_by[label] += count
            whole.calls.forward += tried.calls.forward
            whole.calls.backward += tried.calls.backward
            report(number + 1, len(groups), int(whole.found.sum()))
        return whole

    def _try(self, worker: Worker, x: Tensor, y: Tensor, place: int) -> _Tried:
        """Plant for n images whose balls do not overlap, and attack; ``place`` is the first one's in the run."""
        target = worker.target
        stream = seeding.generator(target.device, worker.seed, self.label, place, "planter")
        with target.streams(worker.seed, self.label, place, "plant"):
            planted = plant(target, x.to(target.device), y.to(target.device), self.threat_model, stream)
        sure = planted.sure.cpu()
        found, margin = torch.zeros_like(sure), torch.full((len(x),), math.nan)
        found_by, calls = dict[str, int](), CallCounter()
        labels = torch.full_like(y, CLEAN_CLASS)
        copies = Worker(planted.target, x, labels, seed=worker.seed, images_a_shard=len(x))
        (all_of_them,) = copies.shards
        for label, attack in self._attacks_on(planted.target):
            left = sure & ~found
            if not left.any():
                break
            named = f"{self.label}, {label} from {place}"
            try:
                record, _ = copies.attack(attack, named, all_of_them, left, no_report)
            except InputError as error:
                raise InputError(f"{error}; planted=False (--no-planted) attacks the model itself alone") from None
            fell = torch.tensor(record.outcome) == Outcome.fallen
            found |= fell
            found_by[label] = int(fell.sum())
            seen = torch.tensor([math.nan if value is None else value for value in record.margin])
            margin = torch.where(left, seen, margin)
            calls.forward += record.model_calls.forward
            calls.backward += record.model_calls.backward
        return _Tried(sure, found, margin, found_by, calls)

    def _attacks_on(self, copy: Target) -> list[tuple[str, TensorAttack]]:
        """The attacks on a copy of the model, each with its label."""
        return [
            (spec.label, build(spec, copy, self.threat_model, defaults=self.defaults.get(spec.name, {})))
            for spec in self.specs
        ]


def _unplantable(count: int, total: int, *, randomised: bool) -> str | None:
    """A line about the images for which nothing could be planted; None if there are none."""
    if not count:
        return None
    what = "beyond rounding and the noise of its votes" if randomised else "beyond rounding"
    return f"for {count} of {total} images no point that was tried in the ball changes the logits {what}"
