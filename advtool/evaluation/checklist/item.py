"""An item of a checklist, and an answer to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from advtool.evaluation.checklist.reading import Reading
from advtool.results import AttackResult, Status


@dataclass(frozen=True)
class Answer:
    """What a run answers. See :class:`advtool.results.ChecklistItem`."""

    status: Status
    words: str
    findings: tuple[str, ...] = ()
    command: str | None = None


Rule = Callable[[Reading], Answer]
"""Answers one item from a result."""


@dataclass(frozen=True)
class Item:
    """One item of a list: where the paper explains it, what it asks for, and the rule that answers it."""

    section: str
    asks: str
    rule: Rule


@dataclass(frozen=True)
class List:
    """One list of a paper."""

    source: str
    name: str
    items: Sequence[Item]


def done(words: str, findings: tuple[str, ...] = ()) -> Answer:
    """The run did it, whatever came out: ``findings`` are the codes that speak against the model or the attack."""
    return Answer("done", words, findings)


def not_done(words: str, command: str) -> Answer:
    """The run did not do it; the command would."""
    return Answer("not done", words, command=command)


def not_applicable(words: str) -> Answer:
    """It says nothing of this model or of this tool; the words say why."""
    return Answer("not applicable", words)


def idle(attacks: Sequence[AttackResult]) -> Answer | None:
    """The answer where attacks ran but no image was left for them; None if one of them worked, or if there are none."""
    if not attacks or any(attack.model_calls.forward for attack in attacks):
        return None
    return not_applicable(f"no image was left for {attacks[0].name}: all had fallen or were proved robust")


def left_to_you(words: str) -> Rule:
    """A rule for what no run can answer."""
    return lambda _: Answer("left to you", words)
