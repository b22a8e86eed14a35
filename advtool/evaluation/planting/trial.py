"""The trial of the attacks: which planted examples do they find?"""

import math
import time
from typing import NamedTuple

import torch
from torch import Tensor

from advtool import seeding
from advtool.attacks.base import StepReport, no_report
from advtool.errors import InputError
from advtool.evaluation.planting.planter import Planted, plant
from advtool.evaluation.planting.planting import Planting
from advtool.evaluation.planting.readout import CLEAN_CLASS, groups_apart
from advtool.evaluation.shard import Shard, ShardRecord, finite_or_none
from advtool.evaluation.worker import Worker
from advtool.results import ModelCalls, Outcome
from advtool.target.target import CallCounter


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


def attack_planted(planting: Planting, worker: Worker, shard: Shard, asked: Tensor, report: StepReport) -> ShardRecord:
    """Plant examples for some images of a shard, and attack the copies of the model.

    Args:
        planting: the stage.
        worker: has the model and the seed of the run.
        shard: the n images and their labels.
        asked: which images of the shard to plant for, bool (n,).
        report: is told of the progress.
    """
    started, target = time.perf_counter(), worker.target
    target.calls = CallCounter()
    places = asked.nonzero().squeeze(1)
    record = _Tried(
        sure=torch.zeros_like(asked),
        found=torch.zeros_like(asked),
        margin=torch.full((len(asked),), math.nan),
        found_by=dict.fromkeys((spec.label for spec in planting.specs), 0),
        calls=target.calls,
    )
    groups = groups_apart(shard.x[places], planting.threat_model)
    for number, group in enumerate(groups):
        rows = places[group]
        tried = _try(planting, worker, shard.x[rows], shard.y[rows], shard.first + int(rows[0]))
        for whole, part in zip(record[:3], tried[:3], strict=True):
            whole[rows] = part
        for label, count in tried.found_by.items():
            record.found_by[label] += count
        target.calls.forward += tried.calls.forward
        target.calls.backward += tried.calls.backward
        report(number + 1, len(groups), int(record.found.sum()))
    outcome = torch.where(record.found, Outcome.found, Outcome.missed).where(record.sure, Outcome.not_asked)
    return ShardRecord(
        stage=planting.label,
        shard=shard.number,
        images_a_pass=target.batch_size,
        outcome=outcome.tolist(),
        prediction=shard.y.tolist(),
        margin=finite_or_none(record.margin),
        step=[None] * len(asked),
        queries=[0] * len(asked),
        found_by=record.found_by,
        unplantable=_unplantable(int((asked & ~record.sure).sum()), len(places), randomised=target.randomised),
        seconds=round(time.perf_counter() - started, 4),
        model_calls=ModelCalls(forward=target.calls.forward, backward=target.calls.backward),
    )


def _try(planting: Planting, worker: Worker, x: Tensor, y: Tensor, place: int) -> _Tried:
    """Plant for n images whose balls do not overlap, and attack; ``place`` is the first one's in the run."""
    target = worker.target
    stream = seeding.generator(target.device, worker.seed, planting.label, place, "planter")
    with target.streams(worker.seed, planting.label, place, "plant"):
        planted: Planted = plant(target, x.to(target.device), y.to(target.device), planting.threat_model, stream)
    sure = planted.sure.cpu()
    found, margin = torch.zeros_like(sure), torch.full((len(x),), math.nan)
    found_by, calls = dict[str, int](), CallCounter()
    labels = torch.full_like(y, CLEAN_CLASS)
    copies = Worker(planted.target, x, labels, seed=worker.seed, images_a_shard=len(x))
    (all_of_them,) = copies.shards
    for label, attack in planting.attacks_on(planted.target):
        left = sure & ~found
        if not left.any():
            break
        named = f"{planting.label}, {label} from {place}"
        try:
            record, _ = copies.attack(attack, named, all_of_them, left, no_report)
        except InputError as error:
            raise InputError(f"{error}; --no-planted attacks the model itself alone") from None
        fell = torch.tensor(record.outcome) == Outcome.fallen
        found |= fell
        found_by[label] = int(fell.sum())
        seen = torch.tensor([math.nan if value is None else value for value in record.margin])
        margin = torch.where(left, seen, margin)
        calls.forward += record.model_calls.forward
        calls.backward += record.model_calls.backward
    return _Tried(sure, found, margin, found_by, calls)


def _unplantable(count: int, total: int, *, randomised: bool) -> str | None:
    """A line about the images for which nothing could be planted; None if there are none."""
    if not count:
        return None
    what = "beyond rounding and the noise of its votes" if randomised else "beyond rounding"
    return f"for {count} of {total} images no point that was tried in the ball changes the logits {what}"
