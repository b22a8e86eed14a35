"""The stage that plants adversarial examples into copies of the model, and attacks the copies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from advtool.attacks.base import TensorAttack
from advtool.attacks.registry import AttackSpec, build
from advtool.evaluation.planting.planter import BOUNDARY_POINTS, CLOSENESS, GRADIENT_STEPS
from advtool.results import PLANTED
from advtool.target.target import Target
from advtool.threat import ThreatModel

PLANTED_IMAGES = 50
"""How many of a run's first images get a planted example."""


@dataclass(frozen=True)
class Planting:
    """Plants an adversarial example for each of the first images, and attacks it in turn until an attack finds it."""

    label: ClassVar[str] = PLANTED

    threat_model: ThreatModel
    specs: Sequence[AttackSpec]
    """the attacks of the run that follow the model itself, the cheapest first"""
    defaults: Mapping[str, Mapping[str, Any]]
    """by the name of an attack, the parameters that the run gives it"""
    passes: float
    """about what an image costs at most, in forward passes: to plant, and to attack with all of them"""

    def __str__(self) -> str:
        """The label, and which images it sees."""
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

    def attacks_on(self, copy: Target) -> list[tuple[str, TensorAttack]]:
        """The attacks on a copy of the model, each with its label."""
        return [
            (spec.label, build(spec, copy, self.threat_model, defaults=self.defaults.get(spec.name, {})))
            for spec in self.specs
        ]
