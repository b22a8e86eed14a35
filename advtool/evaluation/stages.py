"""The stages of a run: which attack, on which images, and whether it counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from advtool.attacks.base import TensorAttack
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import AttackSpec, build
from advtool.attacks.suites import Scope
from advtool.target.target import Target
from advtool.threat import ThreatModel

DROP = 0.05
"""The smallest drop of accuracy between two attacks that a masking code is raised for."""
DIAGNOSED = 200
"""The first images of a run, on which a cascade's diagnostics run in full."""
BASELINE = PGD.name
"""The attack that the others are held against, as every cascade runs it; other settings have other labels."""


@dataclass(frozen=True)
class Stage:
    """One attack of a run. ``probed_eps`` marks a probe at another radius, which says nothing of the worst case."""

    label: str
    name: str
    attack: TensorAttack
    scope: Scope
    probed_eps: float | None = None


class Cascade:
    """The state of a run between its stages: which images stand, and whether the diagnostics are worth their time.

    Args:
        clean: whether each image is classified right, in the order of the run.
    """

    def __init__(self, clean: Sequence[bool]) -> None:
        self.clean = list(clean)
        self.standing = list(clean)
        """it has survived every attack so far, too"""
        self.diagnose = True
        """PGD left enough of the first images to ask what hides them"""

    def asks_for(self, stage: Stage) -> list[bool]:
        """Which images the stage attacks."""
        if stage.scope is Scope.every:
            return list(self.clean)
        if stage.scope is Scope.survivors:
            return list(self.standing)
        diagnosed = [right and self.diagnose and place < DIAGNOSED for place, right in enumerate(self.clean)]
        if stage.probed_eps is not None:
            return diagnosed
        return [stands or chosen for stands, chosen in zip(self.standing, diagnosed, strict=True)]

    def note(self, stage: Stage, survives: Sequence[bool]) -> None:
        """Take in what a finished stage left of the images that it was asked for."""
        if stage.probed_eps is not None:
            return
        self.standing = [stands and left for stands, left in zip(self.standing, survives, strict=True)]
        if stage.label == BASELINE:
            # where fewer are left than the smallest drop of a masking code, no attack can be that much stronger
            few = survives[:DIAGNOSED]
            self.diagnose = sum(few) >= DROP * len(few)


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
        specs: what was asked for.
        target: the model under test.
        threat_model: of the run.
        defaults: the run's parameters for attacks, by the attack's name.
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
        stages: what was asked for.
        few: images (N, C, H, W) and labels (N,) on its device, to ask it by.
    """
    asked = [stage for stage in stages if stage.scope is not Scope.every]
    return tuple(stage.label for stage in asked if stage.attack.is_moot(*few))


def probed(eps: float) -> list[float]:
    """The radii at which accuracy must have fallen, by and by: half and twice eps, and half of the range."""
    return sorted({eps / 2, min(2 * eps, 1.0), 0.5} - {eps})
