"""In what a scale is less than the paper's protocol: found by comparing what the lines of both ask for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from advtool.reproduce.lines import Line
from advtool.reproduce.steps import Asked, Model, Timing

STRENGTHS = {"eot": "EOT draws", "spsa_steps": "SPSA steps", "spsa_samples": "SPSA evaluations a step"}


def cuts(ours: Sequence[Line], theirs: Sequence[Line]) -> Iterator[str]:
    """What is less in our lines than in those of the scale paper, each in a few words."""
    found = _described(ours)
    for what, values in _described(theirs).items():
        here, there = dict.fromkeys(found.get(what, [])), dict.fromkeys(values)
        if here and here.keys() != there.keys():
            yield f"{what}: {_listed(here)} instead of {_listed(there)}"
        elif not here and what.startswith("test images"):
            yield f"no {what}"
    if len(ours) < len(theirs):
        yield f"lines: {len(ours)} instead of {len(theirs)}"


def _described(lines: Sequence[Line]) -> dict[str, list[Any]]:
    """What lines ask for: the values of everything that can be less, by what it is."""
    steps = dict.fromkeys(step for line in lines for step in line.steps())
    timings = [step for step in steps if isinstance(step, Timing)]
    models = [step for step in steps if isinstance(step, Model)]
    found: dict[str, list[Any]] = {
        "network": [model.network for model in models],
        "epochs": [model.epochs for model in models],
        "training images": [model.limit for group in (models, *(each.models for each in timings)) for model in group],
        "validation images": [model.validated for model in models],
        "figure that chooses the epoch": [model.resolved.kept_by for model in models],
        "models a line": [len(line.models) for line in lines if not line.chosen_by],
        "epochs of each timed": [timing.repeats for timing in timings],
    }
    for question in (step.question for step in steps if isinstance(step, Asked)):
        under, settings = question.under, question.settings
        found.setdefault(f"test images {under}", []).append(question.images)
        for name, words in STRENGTHS.items():
            if getattr(settings, name) and (name == "eot" or "spsa" in settings.attacks):
                found.setdefault(f"{words} {under}", []).append(getattr(settings, name))
    return found


def _listed(values: Iterable[Any]) -> str:
    return " or ".join("all" if value is None else str(value) for value in values)
