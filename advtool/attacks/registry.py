"""Attacks by name. A new one is a file beside this one and a line in ``ATTACKS``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from advtool.attacks.apgd import APGD
from advtool.attacks.apgd_targeted import TargetedAPGD
from advtool.attacks.art import ArtAttack
from advtool.attacks.base import Guide, TensorAttack
from advtool.attacks.doubling import Doubling
from advtool.attacks.fgsm import FGSM
from advtool.attacks.nearest import Nearest
from advtool.attacks.noise import Noise
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_losses import MarginPGD, TemperedPGD
from advtool.attacks.pgd_smooth import SmoothPGD
from advtool.attacks.pgd_straight import StraightThroughPGD
from advtool.attacks.spsa import SPSA
from advtool.attacks.square import Square
from advtool.attacks.suites import Scope
from advtool.attacks.transfer import Transfer
from advtool.target.target import Target
from advtool.threat import ThreatModel

ATTACKS: dict[str, type[TensorAttack]] = {
    attack.name: attack
    for attack in (
        FGSM,
        PGD,
        MarginPGD,
        TemperedPGD,
        SmoothPGD,
        StraightThroughPGD,
        APGD,
        TargetedAPGD,
        Nearest,
        Doubling,
        Square,
        SPSA,
        Noise,
        Transfer,
    )
}

ART = "art:"
"""Before the name of a class of ART."""


@dataclass(frozen=True)
class AttackSpec:
    """An attack as it was asked for: ``pgd``, ``pgd(steps=100)``, ``art:SquareAttack(max_iter=500)``."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scope: Scope = Scope.every

    @property
    def label(self) -> str:
        """The name in results: the text that was asked for, in one spelling."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.parameters.items())})"

    @property
    def needs_surrogate(self) -> bool:
        """Whether it follows another model's gradient."""
        return self.name in ATTACKS and ATTACKS[self.name].guide is Guide.surrogate


def draws_in_a_cascade(attack: type[TensorAttack], draws: int, *, part: int | None = None) -> int:
    """Over how many of a random model's ``draws`` an attack averages in a cascade.

    Args:
        attack: its class.
        draws: the target's.
        part: 5 for a fifth; None: what the class says.
    """
    return max(min(draws, attack.fewest_draws), draws // (part or attack.fewer_draws))


def build(
    spec: AttackSpec,
    target: Target,
    threat_model: ThreatModel,
    *,
    defaults: Mapping[str, Any],
    surrogate: Target | None = None,
) -> TensorAttack:
    """The attack of ``spec`` on ``target``; ``defaults`` are the run's for this attack.

    Raises:
        InputError: a parameter is out of range.
    """
    parameters = {**defaults, **spec.parameters}
    if spec.name.startswith(ART):
        return ArtAttack(target, threat_model, spec.name.removeprefix(ART), parameters)
    attack = ATTACKS[spec.name]
    if attack.fewer_draws > 1 and spec.scope is not Scope.every and target.randomised:
        parameters = {"eot": draws_in_a_cascade(attack, target.eot)} | parameters
    if spec.needs_surrogate:
        parameters["surrogate"] = surrogate
    return attack(target, threat_model, **parameters)
