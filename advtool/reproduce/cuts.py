"""In what a scale is less than the paper's protocol: found by comparing what the lines of both ask for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from advtool.reproduce.steps import Asked, Model, Question, Timing
from advtool.reproduce.table import Line

TRAINED = {
    "epochs": "epochs",
    "limit": "training images",
    "validated": "validation images",
    "keep": "as the rule of the kept epoch",
}


def cuts(ours: Sequence[Line], theirs: Sequence[Line]) -> Iterator[str]:
    """What is less in our lines than in those of the scale paper, each in a few words."""
    for field, words in TRAINED.items():
        yield from _less(words, *([_setting(model, field) for model in _models(lines)] for lines in (ours, theirs)))
    yield from _less("trainings a line", *([len(line.models) for line in lines] for lines in (ours, theirs)))
    asked, wanted = _questions(ours), _questions(theirs)
    for attacks, questions in wanted.items():
        if attacks not in asked:
            yield f"no {attacks}"
            continue
        both = (asked[attacks], questions)
        yield from _less(f"test images under {attacks}", *([each.images for each in group] for group in both))
        for name in dict.fromkeys(name for question in questions for name, _ in question.settings):
            values = ([dict(each.settings)[name] for each in group if name in dict(each.settings)] for group in both)
            yield from _less(f"{name.replace('_', ' ')} under {attacks}", *values)
    yield from _less("epochs of each timed", *([t.repeats for t in _timings(lines)] for lines in (ours, theirs)))
    if len(ours) < len(theirs):
        yield f"{len(ours)} of {len(theirs)} lines"


def _less(what: str, ours: Iterable[Any], theirs: Iterable[Any]) -> Iterator[str]:
    here, there = dict.fromkeys(ours), dict.fromkeys(theirs)
    if here and here.keys() != there.keys():
        yield f"{_listed(here)} {what} instead of {_listed(there)}"


def _listed(values: Iterable[Any]) -> str:
    return " or ".join("all" if value is None else str(value) for value in values)


def _setting(model: Model, field: str) -> Any:
    return model.resolved.keep if field == "keep" else getattr(model, field)


def _models(lines: Sequence[Line]) -> list[Model]:
    return [step for line in lines for step in line.steps() if isinstance(step, Model)] + [
        model for timing in _timings(lines) for model in timing.models
    ]


def _timings(lines: Sequence[Line]) -> list[Timing]:
    return [step for line in lines for step in line.steps() if isinstance(step, Timing)]


def _questions(lines: Sequence[Line]) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = {}
    for step in (step for line in lines for step in line.steps()):
        if isinstance(step, Asked):
            found.setdefault(" and ".join(step.question.attacks), []).append(step.question)
    return found
