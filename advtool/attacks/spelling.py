"""Attacks as they are written: ``pgd``, ``pgd(steps=100)``, ``art:SquareAttack(max_iter=500)``, or a suite."""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from advtool.arguments import shown
from advtool.attacks.art import art_class
from advtool.attacks.base import TensorAttack
from advtool.attacks.registry import ART, ATTACKS, AttackSpec
from advtool.attacks.suites import SUITES, Scope
from advtool.errors import InputError, near_match

ATTACK_NAME = re.compile(r"[A-Za-z]\w*(-\w+)*")


def names() -> list[str]:
    """Every attack and suite. Those of ART are not among them."""
    return [*ATTACKS, *SUITES]


def parse(texts: str | Sequence[str], *, surrogate: bool = False) -> list[AttackSpec]:
    """Attacks and suites as they are written on the command line, one or several, each attack once.

    Attacks that see every image come first, since the rest of a cascade sees what they leave; otherwise they keep the
    order given. ``surrogate`` tells whether there is a model to transfer from.

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
                raise InputError(
                    f"attack {spec.name}: it needs a model to transfer from: advtool eval --surrogate MODEL"
                )
            if spec.label not in specs or spec.scope is Scope.every:
                specs[spec.label] = spec
    if not specs:
        raise InputError(f"no attack given: name at least one of {', '.join(names())} or art:CLASS")
    return sorted(specs.values(), key=lambda spec: spec.scope is not Scope.every)


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
    elif name in SUITES:
        raise InputError(f"attack {shown(text)}: {name} is a suite, which takes no parameters")
    elif name not in ATTACKS:
        raise InputError(f"attack {shown(text)}: no such attack{near_match(name, names())}, or art:CLASS")
    else:
        _check_parameters(text, ATTACKS[name], parameters)
    return AttackSpec(prefix + name, parameters, scope)


def _parse_call(text: str, body: str) -> tuple[str, dict[str, Any]]:
    """``name`` or ``name(key=literal, ...)``; nothing is executed.

    Raises:
        InputError: it is neither, a value is no literal, or a name stands twice.
    """
    name, bracket, rest = body.strip().partition("(")
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's, of odd spellings
            call = ast.parse(f"attack({rest}" if bracket else "attack()", mode="eval").body
        if (
            ATTACK_NAME.fullmatch(name)
            and isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and not call.args
            and all(word.arg for word in call.keywords)
        ):
            return name, _literals(text, call.keywords)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last of brackets in brackets
        pass
    hint = "" if name in names() or body != text else near_match(name, names())
    raise InputError(f"attack {shown(text)}: write NAME or NAME(parameter=value, ...), or art:CLASS(...){hint}")


def _literals(text: str, words: list[ast.keyword]) -> dict[str, Any]:
    """Sorted by name, so that one question has one spelling."""
    values: dict[str, Any] = {}
    for word in words:
        key = str(word.arg)
        if key in values:
            raise InputError(f"attack {shown(text)}: {shown(key)} is given twice: give it once")
        try:
            values[key] = ast.literal_eval(word.value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            wanted = "a number, True, None, text in quotes, or a list of these"
            raise InputError(f"attack {shown(text)}: {shown(key)} must be {wanted}") from None
    return dict(sorted(values.items()))


def _check_parameters(text: str, cls: type[TensorAttack], parameters: Mapping[str, Any]) -> None:
    accepted = cls.declared()
    for key in parameters:
        if key == "eps":
            raise InputError(f"attack {shown(text)}: eps comes from the threat model, use --eps")
        if key not in accepted:
            raise InputError(f"attack {shown(text)}: no parameter {shown(key)}{near_match(key, accepted)}")
