"""Attacks by name. A new one is a file beside this one and a line in ``ATTACKS``."""

import ast
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from advtool.attacks.art import ArtAttack, art_class
from advtool.attacks.base import TensorAttack
from advtool.attacks.estimator import EOTClassifier
from advtool.attacks.fgsm import FGSM
from advtool.attacks.pgd import PGD
from advtool.attacks.spsa import SPSA
from advtool.errors import InputError, near_match

ATTACKS: dict[str, type[TensorAttack]] = {
    "fgsm": FGSM,
    "pgd": PGD,
    "spsa": SPSA,
}

SUITES: dict[str, tuple[str, ...]] = {
    "paper": ("fgsm", "pgd", "spsa"),
}

ART = "art:"


@dataclass(frozen=True)
class AttackSpec:
    """An attack as it was asked for: ``pgd``, ``pgd(steps=100)``, ``art:SquareAttack(max_iter=500)``."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name in results: the text that was asked for, in one spelling."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.parameters.items())})"


def parse(texts: Iterable[str]) -> list[AttackSpec]:
    """Attacks and suites as they are written on the command line, each attack once, in order.

    Raises:
        InputError: an unknown name (the nearest is named), unknown parameter or bad spelling.
    """
    specs: dict[str, AttackSpec] = {}
    for text in texts:
        for name in SUITES.get(text, (text,)):
            spec = _parse_one(name)
            specs.setdefault(spec.label, spec)
    if not specs:
        raise InputError(f"no attack given: name at least one of {', '.join([*ATTACKS, *SUITES])} or art:CLASS")
    return list(specs.values())


def build(spec: AttackSpec, estimator: EOTClassifier, *, eps: float, defaults: Mapping[str, Any]) -> TensorAttack:
    """The attack of ``spec`` on ``estimator``; ``defaults`` are the run's for this attack.

    Raises:
        InputError: a parameter is out of range.
    """
    parameters = {**defaults, **spec.parameters}
    if spec.name.startswith(ART):
        return ArtAttack(estimator, spec.name.removeprefix(ART), parameters, eps=eps)
    return ATTACKS[spec.name](estimator, eps=eps, **parameters)


def _parse_one(text: str) -> AttackSpec:
    prefix, body = (ART, text.removeprefix(ART)) if text.startswith(ART) else ("", text)
    name, parameters = _parse_call(text, body)
    if prefix:
        art_class(name)
    elif name not in ATTACKS:
        raise InputError(f"--attack '{text}': no such attack{near_match(name, [*ATTACKS, *SUITES])}, or art:CLASS")
    else:
        _check_parameters(text, ATTACKS[name], parameters)
    return AttackSpec(prefix + name, parameters)


def _parse_call(text: str, body: str) -> tuple[str, dict[str, Any]]:
    """``name`` or ``name(key=literal, ...)``; nothing is executed."""
    try:
        node = ast.parse(body.strip(), mode="eval").body
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            return node.func.id, _literals(node.keywords)
        if isinstance(node, ast.Name):
            return node.id, {}
    except (SyntaxError, ValueError):
        pass
    known = near_match(body, [*ATTACKS, *SUITES])
    raise InputError(f"--attack '{text}': write NAME or NAME(parameter=value, ...), or art:CLASS(...){known}")


def _literals(words: list[ast.keyword]) -> dict[str, Any]:
    """Sorted by name, so that one question has one spelling."""
    names = [word.arg for word in words if word.arg is not None]
    if len(set(names)) < len(words):
        raise ValueError("a name twice, or none")
    return dict(sorted((str(word.arg), ast.literal_eval(word.value)) for word in words))


def _check_parameters(text: str, cls: type[TensorAttack], parameters: Mapping[str, Any]) -> None:
    accepted = set(inspect.signature(cls).parameters) - {"estimator", "eps"}
    for key in parameters:
        if key == "eps":
            raise InputError(f"--attack '{text}': eps comes from the threat model, use --eps")
        if key not in accepted:
            known = near_match(key, accepted) if accepted else " (it has none)"
            raise InputError(f"--attack '{text}': no parameter '{key}'{known}")
