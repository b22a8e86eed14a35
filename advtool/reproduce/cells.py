"""The cells of a table: what each reads of what was measured, beside the paper's figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from torch import Tensor

from advtool.evaluation.uncertainty import wilson_interval
from advtool.reproduce import gains
from advtool.reproduce.measured import Measured
from advtool.reproduce.steps import Asked, Model, Question, Timing
from advtool.results import CERTIFIED, Figure, Outcomes, Unit

Stage = tuple[Question, str]
"""What images survive: a stage of a question."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of a line beside the paper's: a share of images, or what ``read`` finds of each of the line's models.

    A share pairs questions with the stage that the images survive: ``clean``, an attack, or ``worst case``, every
    attack of the question; ``fgsm on examples`` counts as the first paper does, the final examples that are classified
    right, whatever the image was before. Of several pairs it is the one with the lowest mean, the second paper's Min.
    ``certified`` are the images that no attack can break.
    """

    of: tuple[Stage, ...] = ()
    lowest_of: tuple[Stage, ...] = ()
    """pairs with the attacks of ``of``, all on the same images, which decide which is the lowest; none: ``of`` do"""
    read: Callable[[Measured, Model], Figure] | None = None
    timing: Timing | None = None
    """the epochs that are timed for it"""
    learned: bool = False
    """whether it reads the noise layer of the model"""
    unit: Unit = "per cent"
    paper: float | None = None
    paper_deviation: float | None = None
    paper_significant: bool | None = None
    hidden: bool = False
    """no column of the table: the line's evidence reads it"""

    def outcomes(self, measured: Measured, models: Sequence[Model]) -> list[Tensor]:
        """Which images count, bool (N,) of each model."""
        every = [_surviving(measured, models, *stage) for stage in self.of]
        compared = [_surviving(measured, models, *stage) for stage in self.lowest_of] or every
        means = [fmean(map(gains.share, outcomes)) for outcomes in compared]
        return every[means.index(min(means))]

    def figure(self, measured: Measured, models: Sequence[Model]) -> Figure:
        """Our value: of one model with Wilson's interval, of several the mean and the standard deviation."""
        if self.read:
            return _mean([self.read(measured, model) for model in models])
        if reason := self._missing(measured, models):
            return Figure(missing=reason)
        outcomes = self.outcomes(measured, models)
        return _mean(
            [Figure(ours=gains.share(of), interval=wilson_interval(int(of.sum()), len(of))) for of in outcomes]
        )

    def _missing(self, measured: Measured, models: Sequence[Model]) -> str | None:
        """Why nothing can be proved of the models, in the words of their evaluation."""
        asked = [question for question, stage in self.of if stage == CERTIFIED]
        answers = [measured.answers[Asked(model, question)] for question in asked for model in models]
        warnings = [warning for answer in answers if answer.certified is None for warning in answer.warnings]
        return next((warning.message for warning in warnings if warning.code == "not-certifiable"), None)


def share(question: Question, stage: str, paper: float | None = None, *, hidden: bool = False) -> Cell:
    """The images that survive one stage."""
    return Cell(of=((question, stage),), paper=paper, hidden=hidden)


def certified(question: Question) -> dict[str, Cell]:
    """The column of the images that no attack can break, by its name; none where the question asks for no proofs."""
    return {CERTIFIED: share(question, CERTIFIED)} if question.settings.certify else {}


def planted(audit: Question) -> Cell:
    """The share of planted examples that the audit found; the line asks this question of its model elsewhere."""

    def read(measured: Measured, model: Model) -> Figure:
        found = measured.answers[Asked(model, audit)].planted
        if found is None or not found.total:
            return Figure(missing="no examples could be planted")
        return Figure(ours=found.found / found.total, interval=wilson_interval(found.found, found.total))

    return Cell(read=read)


def metric(name: str, paper: float | None = None, *, images: str = "validation_images") -> Cell:
    """A share of validation images, which the training noted on the model's card.

    ``images`` is the card's word for how many they are.
    """

    def share(noted: Mapping[str, Any]) -> Figure:
        value, count = float(noted[name]), int(noted[images])
        return Figure(ours=value, interval=wilson_interval(round(value * count), count))

    return Cell(read=_noted(share), paper=paper)


def noise(name: str) -> Cell:
    """A level of the noise on validation images, a fraction of the pixel range, which the card tells."""
    return Cell(read=_noted(lambda noted: Figure(ours=float(noted[name]))), unit="noise level")


def seconds(timing: Timing) -> Cell:
    """Seconds an epoch of the line's model: the median of the turns, and their standard deviation."""

    def read(measured: Measured, model: Model) -> Figure:
        turns = measured.times[timing][model.name]
        return Figure(ours=median(turns), deviation=stdev(turns), repeats=len(turns))

    return Cell(read=read, unit="seconds", timing=timing)


def ratio(timing: Timing, of: Model, to: Model, paper: float | None = None) -> Cell:
    """How many times as long an epoch takes: the ratio of the medians, with the deviation of the turns' ratios."""

    def read(measured: Measured, _: Model) -> Figure:
        if of == to:
            return Figure(ours=1.0)
        ours, theirs = (measured.times[timing][each.name] for each in (of, to))
        turns = [a / b for a, b in zip(ours, theirs, strict=True)]
        return Figure(ours=median(ours) / median(theirs), deviation=stdev(turns), repeats=len(turns))

    return Cell(read=read, unit="times", timing=timing, paper=paper)


def _noted(figure: Callable[[Mapping[str, Any]], Figure]) -> Callable[[Measured, Model], Figure]:
    """Reads a model's card; the figure is blank if the training diverged."""

    def read(measured: Measured, model: Model) -> Figure:
        card = measured.cards.get(model)
        return Figure(missing="the training diverged") if card is None else figure(card.metrics)

    return read


def _mean(figures: Sequence[Figure]) -> Figure:
    """One figure as it is; of several the mean and the standard deviation, unless one is missing."""
    values = [figure.ours for figure in figures if figure.ours is not None]
    if len(figures) == 1 or len(values) < len(figures):
        return next((figure for figure in figures if figure.missing), figures[0])
    return Figure(ours=fmean(values), deviation=stdev(values), repeats=len(values), each=values)


def _surviving(measured: Measured, models: Sequence[Model], question: Question, stage: str) -> list[Tensor]:
    return [_of_stage(measured.answers[Asked(model, question)].outcomes, stage) for model in models]


def _of_stage(outcomes: Outcomes, stage: str) -> Tensor:
    attack, _, on_examples = stage.partition(" on ")
    if on_examples:
        return outcomes.on_examples[attack]
    if stage == CERTIFIED:
        return outcomes.certified
    return outcomes.worst_case if stage == "worst case" else outcomes.survives(stage)
