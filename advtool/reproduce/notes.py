"""Notes below a table: what is left of a row, what proofs say, what validation chose, what was measured before."""

from collections import Counter
from collections.abc import Iterator, Sequence

from advtool.reproduce.lines import Line
from advtool.reproduce.measured import Measured
from advtool.reproduce.steps import CERTIFIED_EPS, Asked, Learned, Model, Timing
from advtool.results import CERTIFIED, Reused, notation

KINDS = {Model: "trainings", Asked: "evaluations", Learned: "noise layers", Timing: "timings"}


def left_of(line: Line, measured: Measured) -> str | None:
    """What is not finished of a line; None: nothing."""
    needed = list(dict.fromkeys(measured.actual(step) for step in line.steps()))
    left = measured.left.intersection(needed)
    if any(map(measured.has_diverged, left)):
        return "a training diverged"
    counts = [
        f"{sum(isinstance(step, kind) for step in left)} of {sum(isinstance(step, kind) for step in needed)} {what}"
        for kind, what in KINDS.items()
        if any(isinstance(step, kind) for step in left)
    ]
    return f"{' and '.join(counts)} left" if counts else None


def of_proofs(lines: Sequence[Line]) -> Iterator[str]:
    """What the column ``certified`` says, if there is one."""
    asked = [CERTIFIED in line.cells for line in lines]
    if any(asked):
        blank = "" if all(asked) else f" Asked for up to eps {CERTIFIED_EPS:g}, and blank elsewhere."
        yield (
            "Certified: images that bounds prove to have no adversarial example. On the same images robust accuracy "
            f"lies between it and what the attacks leave.{blank}"
        )


def of_choices(lines: Sequence[Line], measured: Measured) -> Iterator[str]:
    """What a search or another choice by validation found."""
    for line in lines:
        if measured.chosen.keys() & {*line.models} or (line.chosen_by and not left_of(line, measured)):
            yield f"{', '.join(line.labels)}: {', '.join(model.name for model in line.members(measured))}"


def of_sources(lines: Sequence[Line], measured: Measured) -> Iterator[str]:
    """Which rows share a training of the model whose examples they train on, where that was trained more than once."""
    rows: dict[Model, dict[str, dict[str, None]]] = {}
    for line in lines:
        for model in line.models:
            if model.examples_of and (weights := measured.sources.get(model)):
                of_source = rows.setdefault(model.examples_of, {})
                of_source.setdefault(weights, {})[", ".join(filter(None, line.labels))] = None
    for source, trainings in rows.items():
        if len(trainings) > 1:
            groups = "; and ".join(f"one made those of {', of '.join(labels)}" for labels in trainings.values())
            several = f"{len(trainings)} trainings of {source.name}"
            yield f"The fixed examples come from {several}, whose weights differ: {groups}"


def of_precision(lines: Sequence[Line], measured: Measured) -> Iterator[str]:
    """Which rows have models that computed in less than float32 while they trained."""
    rows: dict[str, dict[str, None]] = {}
    for line in lines:
        for card in (measured.cards[model] for model in line.members(measured) if model in measured.cards):
            rows.setdefault(card.recipe["precision"], {})[", ".join(filter(None, line.labels))] = None
    for precision, labels in rows.items():
        which = "all finished rows" if len(rows) == 1 else "; ".join(labels)
        if precision != "float32":
            yield f"Trained in {precision}, since the machine has fast units for it, attacked in float32: {which}"


def of_reuse(reused: Sequence[Reused]) -> Iterator[str]:
    """What an earlier call had finished, by where and when."""
    parts = Counter("a time and a machine that were not noted" for each in reused if not each.date)
    for each in reused:
        if each.date:
            device, threads, torch_version = (each.environment[name] for name in ("device", "threads", "torch"))
            where = f"{device}, {notation.counted(threads, 'thread')}, torch {torch_version}"
            parts[f"{each.date:%Y-%m-%d}, {where}"] += 1
    for where, count in parts.items():
        yield f"{notation.counted(count, 'part')} {'was' if count == 1 else 'were'} finished before: {where}"
