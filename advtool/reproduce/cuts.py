"""In what a scale is less than the paper's protocol: found by comparing what the lines of both ask for."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

from advtool.reproduce.catalogue import Scale
from advtool.reproduce.lines import Line
from advtool.reproduce.search import Trial
from advtool.reproduce.steps import Asked, Model, Question, Timing
from advtool.reproduce.table import Table


class Ask(NamedTuple):
    """Something that lines ask for: a noun in the singular, and the words behind it."""

    noun: str
    words: str = ""


Asks = dict[Ask, list[Any]]
"""The values of each; None: all."""
TEST_IMAGE = "test image"
PROOFS = "under bounds"
STRENGTHS = {"eot": "EOT sample", "spsa_steps": "SPSA step", "spsa_samples": "SPSA sample"}
OURS = {"apb": {"validation image", "row"}, "pnil": {"epoch"}}
"""Nouns and words of what is ours alone, by the first word of a table's name: the paper has no such thing, or no number
of it. Searches, proofs and how many epochs are timed are ours in all tables, and are not compared.
"""


def cuts(table: Table, scale: Scale, datasets: Sequence[str]) -> list[str]:
    """In what a result on these data sets is less than the paper's protocol, each in a few words."""
    ours, theirs = (_asks(table.all_lines(each, datasets)) for each in (scale, Scale.paper))
    left_out = OURS.get(table.name.partition("-")[0], set())
    less = (
        f"{_written(ask, ours[ask])} instead of {_listed(values)}" if ask in ours else f"no {ask.noun}s {ask.words}"
        for ask, values in theirs.items()
        if not left_out.intersection(ask) and _is_less(ours.get(ask), values, ask.noun)
    )
    return [*table.differs, *less, *_of_datasets(table, scale, datasets)]


def _of_datasets(table: Table, scale: Scale, datasets: Sequence[str]) -> Iterator[str]:
    """What the scale leaves out; what somebody did not ask for is no cut."""
    missing = [name for name in table.datasets if name not in datasets]
    if len(missing) == len(table.datasets):
        yield f"{', '.join(datasets)} instead of {', '.join(missing)}"
    elif missing and {*datasets} == {*table.datasets_at(scale)}:
        yield f"no {', '.join(missing)}"


def _asks(lines: Sequence[Line]) -> Asks:
    """What lines ask for, of all that can be less."""
    steps = dict.fromkeys(step for line in lines for step in line.steps())
    models = [step for step in steps if isinstance(step, Model) and not isinstance(step, Trial)]
    timed = [model for step in steps if isinstance(step, Timing) for model in step.models]
    found: Asks = {
        Ask("network"): [model.network for model in models],
        Ask("epoch"): [model.epochs for model in models],
        Ask("training image"): [model.limit for model in (*models, *timed)],
        Ask("validation image"): [model.validated for model in models],
        Ask("epoch chosen by"): [model.resolved.kept_by for model in models],
        Ask("model", "a row"): [len(line.models) for line in lines if not line.chosen_by],
        Ask("row"): [len(lines)],
    }
    for question in (step.question for step in steps if isinstance(step, Asked)):
        for noun, value in _of_question(question):
            found.setdefault(Ask(noun, question.under), []).append(value)
    return {ask: values for ask, values in found.items() if values}


def _of_question(question: Question) -> Iterator[tuple[str, Any]]:
    """How many images it asks, and what it spends on each; a model without randomness needs one draw."""
    settings = question.settings
    if question.under != PROOFS:
        yield TEST_IMAGE, question.images
        for name, noun in STRENGTHS.items():
            if getattr(settings, name) and (name == "eot" or "spsa" in settings.attacks):
                yield noun, getattr(settings, name)


def _is_less(ours: Sequence[Any] | None, theirs: Sequence[Any], noun: str) -> bool:
    """Whether the least or the most is smaller, or the words are others; test images may lack altogether."""
    if ours is None:
        return noun == TEST_IMAGE
    if isinstance(theirs[0], str):
        return {*ours} != {*theirs}
    return any(bound(map(_size, ours)) < bound(map(_size, theirs)) for bound in (min, max))


def _size(value: float | None) -> float:
    return inf if value is None else value


def _written(ask: Ask, values: Sequence[Any]) -> str:
    """``1 epoch``, ``100 or all training images``, ``network resnet11``."""
    if isinstance(values[0], str):
        return f"{ask.noun} {_listed(values)}"
    noun = ask.noun if {*values} == {1} else f"{ask.noun}s"
    return " ".join(filter(None, (_listed(values), noun, ask.words)))


def _listed(values: Sequence[Any]) -> str:
    """``50, 100 or 500``."""
    words = isinstance(values[0], str)
    each = dict.fromkeys(values) if words else sorted({*values}, key=_size)
    *others, last = ["all" if value is None else str(value) if words else f"{value:,}" for value in each]
    return f"{', '.join(others)} or {last}" if others else last
