"""The stages of a run: which attack, on which images, and whether it counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from advtool.attacks.base import TensorAttack
from advtool.attacks.estimator import EOTClassifier
from advtool.attacks.pgd import PGD
from advtool.attacks.registry import AttackSpec, Scope, build

DROP = 0.05
"""The smallest drop of accuracy between two attacks that a masking code is raised for."""
DIAGNOSED = 200
"""The first images of a run, on which a cascade's diagnostics run in full."""


@dataclass(frozen=True)
class Stage:
    """One attack of a run. ``probed_eps`` marks a probe at another radius, which says nothing of the worst case."""

    label: str
    name: str
    attack: TensorAttack
    scope: Scope
    probed_eps: float | None = None

    def asks_for(self, first: int, clean: Sequence[bool], standing: Sequence[bool], *, diagnose: bool) -> list[bool]:
        """Which images of a shard to attack.

        Args:
            first: the shard's first image, its place in the run.
            clean: the image is classified right.
            standing: it has survived every stage before, too.
            diagnose: whether the diagnostics run at all.
        """
        if self.scope is Scope.every:
            return list(clean)
        diagnosed = [diagnose and first + place < DIAGNOSED for place in range(len(clean))]
        if self.probed_eps is not None:
            return [right and chosen for right, chosen in zip(clean, diagnosed, strict=True)]
        if self.scope is Scope.survivors:
            return list(standing)
        return [stands or (right and chosen) for stands, right, chosen in zip(standing, clean, diagnosed, strict=True)]


def worth_diagnosing(survives: Sequence[bool]) -> bool:
    """Whether the attacks on every image left enough of the first images to ask what hides them.

    ``survives`` tells, in the order of the run, which images survived them all. Where fewer than the smallest
    drop of a masking code are left, no attack can be that much stronger.
    """
    few = survives[:DIAGNOSED]
    return sum(few) >= DROP * len(few)


def plan(
    specs: Sequence[AttackSpec],
    estimator: EOTClassifier,
    *,
    eps: float,
    defaults: Mapping[str, Mapping[str, Any]],
    surrogate: EOTClassifier | None,
    few: tuple[Tensor, Tensor],
) -> list[Stage]:
    """The stages after the clean one: the attacks, and for a cascade the probes of its diagnostics.

    Args:
        specs: what was asked for.
        estimator: the model under test.
        eps: radius of the ball.
        defaults: the run's parameters for attacks, by the attack's name.
        surrogate: the model to transfer from, if there is one.
        few: images and labels to ask by whether an attack of a cascade is moot.

    Raises:
        InputError: a parameter is out of range.
    """
    stages = [
        Stage(
            label=spec.label,
            name=spec.name,
            attack=build(spec, estimator, eps=eps, defaults=defaults.get(spec.name, {}), surrogate=surrogate),
            scope=spec.scope,
        )
        for spec in specs
    ]
    stages = [stage for stage in stages if stage.scope is Scope.every or not stage.attack.is_moot(*few)]
    if any(spec.scope is not Scope.every for spec in specs):
        stages += [
            Stage(
                f"pgd at eps {radius:g}", "pgd", PGD(estimator, eps=radius, **defaults["pgd"]), Scope.diagnosed, radius
            )
            for radius in probed(eps)
        ]
    return stages


def probed(eps: float) -> list[float]:
    """The radii at which accuracy must have fallen, by and by: half and twice eps, and half of the range."""
    return sorted({eps / 2, min(2 * eps, 1.0), 0.5} - {eps})
