"""A table of three small models and a timing, and an observer that breaks off: for tests of what is kept."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from advtool.data import folds
from advtool.evaluation.settings import Settings
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import ratio, seconds, share
from advtool.reproduce.lines import Gain, Line
from advtool.reproduce.observer import Observer
from advtool.reproduce.steps import Model, Question, Step, Timing
from advtool.reproduce.table import Table
from advtool.reproduce.verdict import Judgement, above
from advtool.results import Row


def model(**changes: Any) -> Model:
    first = Model(dataset="digits", recipe="clean", eps=0.1, epochs=1, limit=60, settings=(("arch", "cnn"),))
    return replace(first, **changes)


SOURCE = model()
FIXED = model(recipe="adv", examples_of=SOURCE)
FOLDED = model(recipe="nfgsm", limit=None, fold=folds.Fold(0, 1))
QUESTION = Question(12, Settings(eps=0.1, attacks=("fgsm", "pgd"), pgd_steps=3))
TIMING = Timing("toy", (SOURCE, FIXED), 2)


def rule(given: Row) -> Judgement:
    """The gain is above 0."""
    return above("gain", given.evidence["gain"])


def lines(scale: Scale, dataset: str) -> Iterator[Line]:
    del scale
    shown = share(QUESTION, "pgd", 0.99)
    cells = {"clean": share(QUESTION, "clean"), "PGD": shown}
    first, second, third = (
        Line(labels=(dataset, of.name), cells=cells, models=(of,)) for of in (SOURCE, FIXED, FOLDED)
    )
    yield from (first, third)
    yield replace(second, evidence={"gain": Gain([(second, first)], "PGD")})
    timed = {"seconds": seconds(TIMING), "times": ratio(TIMING, FIXED, SOURCE)}
    yield Line(labels=(dataset, "timed"), cells=timed, models=(FIXED,))


TOY = Table(
    name="toy",
    paper="nobody",
    claim="it runs",
    rule=rule,
    datasets=("digits",),
    label_columns=("data set", "model"),
    lines=lines,
)


class Watcher(Observer):
    """Breaks off at its ``fatal`` step, halfway through."""

    def __init__(self, fatal: int | None = None) -> None:
        self.fatal, self.steps, self.kept = fatal, list[Step](), list[bool]()

    def begin(self, step: Step) -> None:
        self.steps.append(step)

    def batch(self, loss: torch.Tensor) -> None:
        self.timed(0.5)

    def advance(self, stage: str, done: float, standing: int) -> None:
        self.timed(0.5)

    def timed(self, share: float) -> None:
        if self.fatal is not None and len(self.steps) == self.fatal:
            raise KeyboardInterrupt

    def end(self, step: Step, *, kept: bool) -> None:
        self.kept.append(kept)
