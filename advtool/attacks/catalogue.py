"""The attacks as their classes declare them, for ``advtool attacks``."""

import inspect
import re
from typing import Any

from advtool import docstrings
from advtool.attacks.art import GIVEN_BY_THE_RUN, ArtAttack, art_class
from advtool.attacks.base import Guide, TensorAttack
from advtool.attacks.parameters import Parameter
from advtool.attacks.registry import ART, ATTACKS
from advtool.attacks.spelling import names, parse
from advtool.attacks.suites import SUITES
from advtool.errors import InputError, near_match
from advtool.results import Attack, AttackParameter, Attacks, Suite, SuiteStage
from advtool.threat import NORMS

PAPER_OF_ART = re.compile(r"Paper link: (\S+)")


def catalogue(name: str | None = None) -> Attacks:
    """All attacks and suites; or the attack, the suite or the attack of ART that is called ``name``.

    ``name`` may be an attack with parameters, such as ``pgd(steps=3)``: the answer is that of the attack.

    Raises:
        InputError: nothing is called so; the nearest name is told. Or a parameter is not the attack's.
    """
    if name is None:
        return Attacks(attacks=[_attack(cls) for cls in ATTACKS.values()], suites=[_suite(each) for each in SUITES])
    if "(" in name:
        (spec,) = parse(name, surrogate=True)
        name = spec.name
    if name in SUITES:
        return Attacks(attacks=[], suites=[_suite(name)])
    if name in ATTACKS:
        return Attacks(attacks=[_attack(ATTACKS[name])], suites=[])
    if name.startswith(ART):
        return Attacks(attacks=[_attack_of_art(name.removeprefix(ART))], suites=[])
    raise InputError(f"no attack is called '{name}'{near_match(name, names())}, or art:CLASS")


def _attack(cls: type[TensorAttack]) -> Attack:
    return Attack(
        name=cls.name,
        purpose=docstrings.purpose(cls),
        source=docstrings.source(cls),
        follows=cls.guide.value,
        norms=list(cls.norms or NORMS),
        parameters=[_parameter(cls, name, each) for name, each in cls.declared().items()],
    )


def _parameter(cls: type[TensorAttack], name: str, declared: Parameter[Any]) -> AttackParameter:
    meanings = (docstrings.attributes(home).get(name) for home in cls.__mro__ if vars(home).get(name) is declared)
    return AttackParameter(
        name=name,
        default=declared.default,
        derived=declared.derived or None,
        type=declared.check.words,
        meaning=next(meanings, None),
    )


def _suite(name: str) -> Suite:
    return Suite(name=name, stages=[SuiteStage(attack=key, sees=scope.value) for key, scope in SUITES[name].items()])


def _attack_of_art(name: str) -> Attack:
    cls = art_class(name)
    link = PAPER_OF_ART.search(inspect.getdoc(cls) or "")
    ours = {*GIVEN_BY_THE_RUN, "verbose"}
    taken = [each for key, each in inspect.signature(cls).parameters.items() if key not in ours]
    return Attack(
        name=ART + name,
        purpose=docstrings.purpose(cls),
        source=link and link[1],
        follows=Guide.unknown.value,
        norms=list(ArtAttack.norms),
        parameters=[_parameter_of_art(each) for each in taken],
    )


def _parameter_of_art(given: inspect.Parameter) -> AttackParameter:
    """ART's defaults are not always plain data, and its attacks need some parameters."""
    needed = given.default is inspect.Parameter.empty
    plain = isinstance(given.default, None | bool | int | float | str)
    annotation = "" if given.annotation is inspect.Parameter.empty else inspect.formatannotation(given.annotation)
    return AttackParameter(
        name=given.name,
        default=None if needed else given.default if plain else str(given.default),
        derived="must be given" if needed else None,
        type=annotation.strip("'").replace("typing.", "") or None,
    )
