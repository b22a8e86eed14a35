"""The stages of a run: which attack works on which images, and whether it counts for the worst case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advtool.attacks.base import TensorAttack
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import AttackSpec, build
from advtool.attacks.suites import Scope
from advtool.results import Outcome, Outcomes
from advtool.target.target import Target
from advtool.threat import ThreatModel

MASKING_MIN_DROP = 0.05
"""The smallest drop of accuracy between two attacks that earns a masking code."""
DIAGNOSED_IMAGES = 200
"""How many of the first images a cascade's diagnostics attack in full."""
BASELINE = PGD.name
"""The attack that others are compared with, in the settings of the run. PGD in other settings has another label."""


@dataclass(frozen=True)
class Stage:
    """One attack of a run. ``probed_eps`` marks a probe at another eps, which does not count for the worst case."""

    label: str
    name: str
    attack: TensorAttack
    scope: Scope
    probed_eps: float | None = None


def asked_of(stage: Stage, outcomes: Outcomes, rows: slice) -> Tensor:
    """Which images at ``rows`` the stage attacks, bool (n,). ``outcomes`` must hold every earlier stage there."""
    clean = outcomes.clean[rows]
    if stage.scope is Scope.every:
        return clean
    standing = outcomes.standing_before(stage.label)[rows]
    if stage.scope is Scope.survivors:
        return standing
    diagnosed = diagnosed_of(outcomes, rows)
    return diagnosed if stage.probed_eps is not None else standing | diagnosed


def standing_of(stage: Stage, outcomes: Outcomes) -> Tensor:
    """Which images stand in the stage, as its progress counts them, bool (N,).

    In a cascade an image that fell earlier does not stand. In a probe only images that it attacked stand.
    """
    if stage.probed_eps is not None:
        return outcomes.of(stage.label) == Outcome.robust
    before = outcomes.clean if stage.scope is Scope.every else outcomes.standing_before(stage.label)
    return before & (outcomes.of(stage.label) != Outcome.fallen)


def diagnosed_of(outcomes: Outcomes, rows: slice) -> Tensor:
    """Which images of the shard at ``rows`` a cascade's diagnostics attack in full, bool (n,).

    These are the first images of the run. A shard is left out if fewer of its images survive PGD than the smallest
    drop that earns a masking code: no attack can beat PGD by that much.
    """
    clean = outcomes.clean[rows]
    first = torch.arange(rows.start, rows.start + len(clean)) < DIAGNOSED_IMAGES
    if BASELINE in outcomes.stages:
        left = outcomes.survives(BASELINE)[rows][first]
        if left.sum() < MASKING_MIN_DROP * len(left):
            return torch.zeros_like(clean)
    return clean & first


def plan(
    specs: Sequence[AttackSpec],
    target: Target,
    threat_model: ThreatModel,
    *,
    defaults: Mapping[str, Mapping[str, Any]],
    surrogate: Target | None,
) -> list[Stage]:
    """The stages after the clean one: the attacks, and for a cascade the probes of its diagnostics.

    Args:
        specs: the attacks that were asked for.
        target: the model under test.
        threat_model: what the attacker may do.
        defaults: by the name of an attack, the parameters that the run gives it.
        surrogate: the model to transfer from, if there is one.

    Raises:
        InputError: a parameter is out of range.
    """
    stages = [
        Stage(
            label=spec.label,
            name=spec.name,
            attack=build(spec, target, threat_model, defaults=defaults.get(spec.name, {}), surrogate=surrogate),
            scope=spec.scope,
        )
        for spec in specs
    ]
    if any(spec.scope is not Scope.every for spec in specs):
        stages += [
            Stage(
                label=f"{PGD.name} at eps {radius:g}",
                name=PGD.name,
                attack=PGD(target, threat_model.with_eps(radius), **defaults[PGD.name]),
                scope=Scope.diagnosed,
                probed_eps=radius,
            )
            for radius in probed(threat_model.eps)
        ]
    return stages


def moot(stages: Sequence[Stage], few: tuple[Tensor, Tensor]) -> tuple[str, ...]:
    """The labels of a cascade's attacks that are not worth their time on this model.

    Args:
        stages: all stages of the run.
        few: some images, float32 (N, C, H, W), and labels, int64 (N,), on the device of the model.
    """
    in_cascade = [stage for stage in stages if stage.scope is not Scope.every]
    return tuple(stage.label for stage in in_cascade if stage.attack.is_moot(*few))


def probed(eps: float) -> list[float]:
    """The radii that a cascade probes: half and twice eps, and half the range. Accuracy must fall between them."""
    return sorted({eps / 2, min(2 * eps, 1.0), 0.5} - {eps})
