"""A result as the rules of the checklists read it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from advtool.attacks.art import ArtAttack
from advtool.attacks.base import TensorAttack
from advtool.attacks.registry import ATTACKS
from advtool.evaluation.checklist.commands import Commands
from advtool.evaluation.diagnostics.evidence import Code
from advtool.evaluation.diagnostics.families import Family
from advtool.results import AttackResult, Diagnostics, Evaluation, Finding, notation

SHOWN = 2
"""How many attacks an answer names; the others are counted."""


@dataclass(frozen=True)
class Reading:
    """One result, and the questions that several rules ask of it."""

    result: Evaluation

    @cached_property
    def commands(self) -> Commands:
        """The commands that would do what this run did not."""
        return Commands(self.result)

    @property
    def is_cascade(self) -> bool:
        """Whether later attacks of the run saw survivors only."""
        return any(attack.survivors_in is not None for attack in self.result.attacks)

    @property
    def is_random(self) -> bool:
        """Whether two identical calls of the model differ."""
        return bool(self.raised("random-model"))

    @property
    def diagnosed(self) -> Diagnostics | None:
        """What the diagnostics found at several eps; None if they looked at none but the run's own."""
        diagnostics = self.result.diagnostics
        return diagnostics if diagnostics is not None and diagnostics.by_eps else None

    def raised(self, *codes: Code) -> tuple[str, ...]:
        """Those of the codes that the run warns of."""
        warned = {finding.code for finding in self.result.warnings}
        return tuple(code for code in codes if code in warned)

    def finding(self, code: Code) -> Finding | None:
        """The warning with this code, if there is one."""
        return next((finding for finding in self.result.warnings if finding.code == code), None)

    def attacks(self, *families: Family) -> list[AttackResult]:
        """The attacks that belong to one of the families, in the order in which they ran."""
        return [attack for attack in self.result.attacks if any(family(class_of(attack)) for family in families)]


def base_name(attack: AttackResult) -> str:
    """The name without parameters: ``pgd`` of ``pgd(steps=100)``."""
    return attack.name.partition("(")[0]


def class_of(attack: AttackResult) -> type[TensorAttack]:
    """The attack's class; ART's attacks and unknown ones are of one class, whose guide is unknown."""
    return ATTACKS.get(base_name(attack), ArtAttack)


def did(attack: AttackResult) -> str:
    """What an attack did: ``pgd leaves 34.0 %``, or in a cascade ``square took 2 of 60 still standing``."""
    if attack.accuracy is not None:
        return f"{attack.name} leaves {notation.percent(attack.accuracy)}"
    seen, left = attack.survivors_in or 0, attack.survivors_out or 0
    return f"{attack.name} took {seen - left} of {seen} still standing"


def all_did(attacks: Iterable[AttackResult]) -> str:
    """What several attacks did: in words those that took most, the others counted."""
    most_first = sorted(attacks, key=_took, reverse=True)
    more = len(most_first) - SHOWN
    return "; ".join([*map(did, most_first[:SHOWN]), *([f"{more} more"] if more > 0 else [])])


def _took(attack: AttackResult) -> float:
    """The share of the images it saw that fell to it, the misclassified ones included."""
    if attack.accuracy is not None:
        return 1 - attack.accuracy
    seen, left = attack.survivors_in or 0, attack.survivors_out or 0
    return (seen - left) / max(seen, 1)
