"""Attacks by name. A new one is a file beside this one and a line in ``ATTACKS``."""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from advtool.arguments import shown
from advtool.attacks.apgd import APGD
from advtool.attacks.apgd_targeted import TargetedAPGD
from advtool.attacks.art import ArtAttack, art_class
from advtool.attacks.base import Guide, TensorAttack
from advtool.attacks.fgsm import FGSM
from advtool.attacks.noise import Noise
from advtool.attacks.pgd import PGD
from advtool.attacks.pgd_losses import MarginPGD, TemperedPGD
from advtool.attacks.pgd_smooth import SmoothPGD
from advtool.attacks.pgd_straight import StraightThroughPGD
from advtool.attacks.spsa import SPSA
from advtool.attacks.square import Square
from advtool.attacks.transfer import Transfer
from advtool.errors import InputError, near_match
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
        Square,
        SPSA,
        Noise,
        Transfer,
    )
}


class Scope(StrEnum):
    """Which images an attack sees."""

    every = "every image"
    diagnosed = "survivors, and the images of the diagnostics"
    survivors = "survivors"


SHORT_SMOOTH = "pgd-smooth(samples=10, steps=20)"
"""A fifth of its default cost, and on masked models within a point or two of its strength."""
SHORT_SPSA = "spsa(delta=0.05, samples=64, steps=20)"
"""A wider delta than the papers' sees over steps and noise; after all others, a short search is enough."""
TARGETED = "apgd-targeted(finalists=3)"
SHORT_SQUARE = "square(patience=8)"
LONG_SQUARE = "square(patience=5, queries=5000, together=8)"
"""As many queries as AutoAttack's; on a model that hides its gradients it took four points more than all others."""

SUITES: dict[str, dict[str, Scope]] = {
    "paper": dict.fromkeys(("fgsm", "pgd", "spsa"), Scope.every),
    "audit": dict.fromkeys(("fgsm", "pgd", "noise"), Scope.every)
    | dict.fromkeys(
        ("pgd-margin", "pgd-temperature", "pgd-straight", SHORT_SMOOTH, SHORT_SQUARE, "transfer"), Scope.diagnosed
    )
    | dict.fromkeys(
        ("apgd", "apgd(loss='dlr')", TARGETED, "pgd(restarts=3)", SHORT_SPSA, LONG_SQUARE), Scope.survivors
    ),
}
"""Suites by name: their attacks, in order, with what each sees. ``transfer`` is left out if there is no surrogate."""

ART = "art:"
NAME = re.compile(r"[A-Za-z]\w*(-\w+)*")


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


def parse(texts: str | Sequence[str], *, surrogate: bool = False) -> list[AttackSpec]:
    """Attacks and suites as they are written on the command line, one or several, each attack once.

    In order, but those that see every image first: the rest of a cascade sees what they leave. ``surrogate``
    tells whether there is a model to transfer from.

    Raises:
        InputError: an unknown name (the nearest is named), unknown parameter or bad spelling; ``transfer`` without
            a surrogate; no text, or something else than text.
    """
    specs: dict[str, AttackSpec] = {}
    for text in _listed(texts):
        for name, scope in SUITES.get(text, {text: Scope.every}).items():
            spec = _parse_one(name, scope)
            if spec.needs_surrogate and not surrogate:
                if text in SUITES:
                    continue
                raise InputError(f"--attack {spec.name}: it needs a model to transfer from: --surrogate MODEL")
            if spec.label not in specs or spec.scope is Scope.every:
                specs[spec.label] = spec
    if not specs:
        raise InputError(f"no attack given: name at least one of {', '.join([*ATTACKS, *SUITES])} or art:CLASS")
    return sorted(specs.values(), key=lambda spec: spec.scope is not Scope.every)


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
    if spec.needs_surrogate:
        parameters["surrogate"] = surrogate
    return ATTACKS[spec.name](target, threat_model, **parameters)


def _listed(texts: Any) -> list[str]:
    """One text or several, as plain text."""
    several = [texts] if isinstance(texts, str) else texts
    if isinstance(several, bytes) or not isinstance(several, Sequence) or not all(isinstance(t, str) for t in several):
        raise InputError(f"attacks={shown(texts)} must be a name, or a list of names such as 'pgd(steps=100)'")
    return [str(text) for text in several]


def _parse_one(text: str, scope: Scope) -> AttackSpec:
    prefix, body = (ART, text.removeprefix(ART)) if text.startswith(ART) else ("", text)
    name, parameters = _parse_call(text, body)
    if prefix:
        art_class(name)
    elif name not in ATTACKS:
        raise InputError(f"--attack {shown(text)}: no such attack{near_match(name, [*ATTACKS, *SUITES])}, or art:CLASS")
    else:
        _check_parameters(text, ATTACKS[name], parameters)
    return AttackSpec(prefix + name, parameters, scope)


def _parse_call(text: str, body: str) -> tuple[str, dict[str, Any]]:
    """``name`` or ``name(key=literal, ...)``; nothing is executed."""
    name, bracket, rest = body.strip().partition("(")
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's, of odd spellings
            call = ast.parse(f"attack({rest}" if bracket else "attack()", mode="eval").body
        if NAME.fullmatch(name) and isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args:
            return name, _literals(call.keywords)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):  # the last of brackets in brackets
        pass
    known = near_match(body, [*ATTACKS, *SUITES])
    raise InputError(f"--attack {shown(text)}: write NAME or NAME(parameter=value, ...), or art:CLASS(...){known}")


def _literals(words: list[ast.keyword]) -> dict[str, Any]:
    """Sorted by name, so that one question has one spelling."""
    names = [word.arg for word in words if word.arg is not None]
    if len(set(names)) < len(words):
        raise ValueError("a name twice, or none")
    return dict(sorted((str(word.arg), ast.literal_eval(word.value)) for word in words))


def _check_parameters(text: str, cls: type[TensorAttack], parameters: Mapping[str, Any]) -> None:
    accepted = cls.declared()
    for key in parameters:
        if key == "eps":
            raise InputError(f"--attack {shown(text)}: eps comes from the threat model, use --eps")
        if key not in accepted:
            known = near_match(key, accepted) if accepted else " (it has none)"
            raise InputError(f"--attack {shown(text)}: no parameter {shown(key)}{known}")
