"""Evaluations at the values of a sweep, and the curves that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from advtool.results import (
    AttackResult,
    CleanAccuracy,
    EotCurve,
    EotSweep,
    EpsCurve,
    EpsSweep,
    Evaluation,
    Finding,
    SweepPoint,
)
from advtool.studies.curves import MAX_FALL, clearest_rise, deepest_falls, enough_draws


@dataclass(frozen=True)
class Point:
    """The evaluation at one value of the sweep."""

    value: float
    evaluation: Evaluation

    @property
    def names(self) -> tuple[str, ...]:
        """The attacks that saw every image. The other attacks have no accuracy to draw."""
        return tuple(attack.name for attack in self.evaluation.attacks if attack.accuracy is not None)

    def attack(self, name: str) -> AttackResult:
        return next(attack for attack in self.evaluation.attacks if attack.name == name)

    def survives(self, name: str) -> Tensor:
        return self.evaluation.outcomes.survives(name)


def eps_curves(points: Sequence[Point], *, zero: bool) -> EpsSweep:
    """The sweep that evaluations at several eps make, in ascending order; ``zero`` adds the clean accuracy at eps 0."""
    first = points[0].evaluation
    at_zero = [_point_at_zero(first.clean)] if zero else []
    return EpsSweep(
        **common(first),
        worst_case=at_zero + _worst_case(points),
        certified=certified(points, at_zero),
        warnings=_warnings(points),
        eot=first.eot,
        curves=[_eps_curve(name, points, at_zero) for name in points[0].names],
    )


def eot_curves(points: Sequence[Point]) -> EotSweep:
    """The sweep that evaluations with several counts of EOT samples make, in ascending order."""
    first = points[0].evaluation
    return EotSweep(
        **common(first),
        worst_case=_worst_case(points),
        certified=certified(points),
        warnings=_warnings(points),
        eps=first.threat_model.eps,
        curves=[_eot_curve(name, points) for name in points[0].names],
    )


def common(evaluation: Evaluation) -> dict[str, Any]:
    """The fields that all evaluations of a sweep share. Their clean stages draw the same noise."""
    return {
        "checkpoint": evaluation.checkpoint,
        "model": evaluation.model,
        "dataset": evaluation.dataset,
        "norm": evaluation.threat_model.norm,
        "clip": evaluation.threat_model.clip,
        "seed": evaluation.seed,
        "votes": evaluation.votes,
        "clean": evaluation.clean,
        "environment": evaluation.environment,
    }


def _eps_curve(name: str, points: Sequence[Point], at_zero: list[SweepPoint]) -> EpsCurve:
    drawn = [_attack_point(point, name) for point in points]
    survives = {point.value: point.survives(name) for point in points}
    if drawn[0].accuracy_on_examples is not None:  # at eps 0 the examples are the images
        at_zero = [point.model_copy(update={"accuracy_on_examples": point.accuracy}) for point in at_zero]
    return EpsCurve(name=name, points=at_zero + drawn, rise=clearest_rise(survives))


def _eot_curve(name: str, points: Sequence[Point]) -> EotCurve:
    falls = deepest_falls({point.value: point.survives(name) for point in points})
    return EotCurve(
        name=name,
        points=[_attack_point(point, name) for point in points],
        falls=falls,
        tolerance=MAX_FALL,
        enough=enough_draws(falls),
    )


def _attack_point(point: Point, name: str) -> SweepPoint:
    fields = set(SweepPoint.model_fields) - {"value"}
    return SweepPoint(value=point.value, **point.attack(name).model_dump(include=fields))


def _point_at_zero(clean: CleanAccuracy) -> SweepPoint:
    return SweepPoint(
        value=0.0, robust=clean.correct, total=clean.total, accuracy=clean.accuracy, interval=clean.interval
    )


def _worst_case(points: Sequence[Point]) -> list[SweepPoint]:
    return [SweepPoint(value=point.value, **point.evaluation.worst_case.model_dump()) for point in points]


def certified(points: Sequence[Point], at_zero: Sequence[SweepPoint] = ()) -> list[SweepPoint] | None:
    """The points whose runs certify; at eps 0 what is right is certified, since nothing can be changed."""
    found = [(point.value, point.evaluation.certified) for point in points]
    proved = [SweepPoint(value=value, **each.model_dump()) for value, each in found if each is not None]
    return [*at_zero, *proved] if proved else None


def _warnings(points: Sequence[Point]) -> list[Finding]:
    """The warnings of all evaluations, each with its value."""
    return [
        finding.model_copy(update={"value": point.value}) for point in points for finding in point.evaluation.warnings
    ]
