"""The attacks that can be asked for by name: the document ``advtool.attacks/1``."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.record import Document, Record, SparseRecord


class AttackParameter(SparseRecord):
    """What may stand in the brackets after an attack's name."""

    name: str
    default: Any
    """the value if none is given; None if it is derived"""
    derived: str | None = None
    """how the default follows from the threat model or other parameters; None if it is fixed"""
    type: str | None = None
    """what the value must be, in words"""
    meaning: str | None = None


class Attack(Record):
    """An attack, as its class declares it."""

    name: str
    purpose: str
    """what it does, in a line"""
    source: str | None
    """the paper with its section, algorithm or equation"""
    follows: str
    """what tells it where to go"""
    norms: list[str]
    parameters: list[AttackParameter]


class SuiteStage(Record):
    """One attack of a suite."""

    attack: str
    sees: str
    """which images it attacks"""


class Suite(Record):
    """Attacks that are asked for by one name, in the order in which they run."""

    name: str
    stages: list[SuiteStage]


class Attacks(Document):
    """Attacks and suites. ``to_dict`` is the JSON document of ``advtool attacks``."""

    schema_name: Literal["advtool.attacks/1"] = Field(default="advtool.attacks/1", alias="schema")
    attacks: list[Attack]
    suites: list[Suite]
