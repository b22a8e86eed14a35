"""A table of a paper as data: its lines, what each shows, and what a rule reads of those that claim something."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from advtool.reproduce import estimates
from advtool.reproduce.cells import Cell, Lowest, Share
from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import Asked, Model, Step
from advtool.reproduce.verdict import Rule
from advtool.results import Estimate, Panel, Row

if TYPE_CHECKING:
    from advtool.reproduce.laboratory import Measured


class Evidence(Protocol):
    """One thing that a rule reads."""

    def estimate(self, measured: "Measured") -> Estimate:
        """From what was measured."""
        ...


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a table.

    Attributes:
        labels: they fill the table's label columns.
        cells: by the name of the column.
        models: one, or one for each fold or seed.
        chosen_by: the figure on the card whose best model is meant; "": all of the models.
        evidence: what the rule reads, by name; a line without any claims nothing.
    """

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    models: tuple[Model, ...] = ()
    chosen_by: str = ""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)

    def members(self, measured: "Measured") -> Sequence[Model]:
        """The models that the line speaks of."""
        if not self.chosen_by:
            return self.models
        return [max(self.models, key=lambda model: float(measured.cards[model].metrics[self.chosen_by]))]

    def steps(self) -> Iterator[Step]:
        """What it needs, in an order in which it can be done."""
        for model in self.models:
            yield from _with_source(model)
            for cell in self.cells.values():
                yield from (Asked(model, question) for question in cell.questions)
        for timing in dict.fromkeys(timing for cell in self.cells.values() for timing in cell.timings):
            yield from (model.examples_of for model in timing.models if model.examples_of)
            yield timing


@dataclass(frozen=True)
class Gain(Evidence):
    """How far a column of one line is above a column of another: the mean over ``pairs`` of (line, column)."""

    pairs: Sequence[tuple[tuple[Line, str], tuple[Line, str]]]
    alpha: float = 0.05

    def estimate(self, measured: "Measured") -> Estimate:
        points = [(_outcomes(measured, *ours), _outcomes(measured, *theirs)) for ours, theirs in self.pairs]
        return estimates.gain(points, test_to_train=_test_to_train(self.pairs[0][0][0]), alpha=self.alpha)


@dataclass(frozen=True)
class Reach(Evidence):
    """How far a column is above the paper's figure in it."""

    line: Line
    column: str

    def estimate(self, measured: "Measured") -> Estimate:
        stated = self.line.cells[self.column].paper
        assert stated is not None, self.column
        outcomes = _outcomes(measured, self.line, self.column)
        return estimates.against(stated, outcomes, test_to_train=_test_to_train(self.line))


@dataclass(frozen=True)
class Value(Evidence):
    """A column itself, or how many times another one it is."""

    line: Line
    column: str
    of: str = ""

    def estimate(self, measured: "Measured") -> Estimate:
        members = self.line.members(measured)
        found = estimates.of_figure(self.line.cells[self.column].figure(measured, members))
        if not self.of:
            return found
        ratio = found.value / (self.line.cells[self.of].figure(measured, members).ours or 1.0)
        return Estimate(value=ratio, interval=(ratio, ratio), how="exact")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Panels of a plot: one for each group of rows that share their first ``split`` labels.

    Attributes:
        columns: bars or curves of these.
        title: of a panel; ``{0}`` is its first label.
        split: how many labels make a group.
        x: the labels that name a bar, or the one that is a curve's x.
        curve: the label that names a curve; None draws bars.
        at_zero: the column that a curve begins with, at x = 0.
        x_label: of a curve's axis.
        y_label: of the other axis.
    """

    columns: tuple[str, ...]
    title: str
    split: int = 1
    x: tuple[int, ...] = (-1,)
    curve: int | None = None
    at_zero: str = ""
    x_label: str = ""
    y_label: str = "accuracy"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or figure of a paper.

    Attributes:
        name: on the command line.
        title: what it shows.
        paper: whose it is.
        claim: what the paper says with it.
        rule: from a row to its verdict; its docstring is printed.
        datasets: what the paper shows it on.
        label_columns: names of the labels, the data set among them.
        lines: for a scale and a data set.
        drawings: its plots of bars and curves.
        pictures: images of a line, if there are any.
        notes: what a reader should know beside the figures.
        differs: in what even the scale paper is less than the paper's protocol.
        other_datasets: what a scale takes instead of ``datasets`` if nothing is asked for.
    """

    name: str
    title: str
    paper: str
    claim: str
    rule: Rule
    datasets: tuple[str, ...]
    label_columns: tuple[str, ...]
    lines: Callable[[Scale, str], Iterable[Line]]
    drawings: Sequence[Drawing] = ()
    pictures: "Callable[[Measured, Line], list[Panel]] | None" = None
    notes: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    other_datasets: Mapping[Scale, tuple[str, ...]] = field(default_factory=lambda: {Scale.smoke: ("digits",)})

    @property
    def printed_rule(self) -> str:
        """The docstring of the rule, in one line."""
        return " ".join((getdoc(self.rule) or "").split())

    def all_lines(self, scale: Scale, datasets: Sequence[str]) -> list[Line]:
        """Data set by data set."""
        return [line for dataset in datasets for line in self.lines(scale, dataset)]

    def judged(self, row: Row) -> Row:
        """The row with the verdict of the rule on its evidence."""
        judgement = self.rule(row) if row.evidence else None
        verdict, why = (judgement.verdict, judgement.why) if judgement else (None, None)
        return row.model_copy(update={"verdict": verdict, "why": why})


def robustness(
    pairs: Sequence[tuple[Line, Line]], shown: str, worst: str, audited: str, *, reach: str = "", alpha: float = 0.05
) -> dict[str, Evidence]:
    """What :func:`advtool.reproduce.verdict.robust` reads of a claim that lines are more robust than their baselines.

    Args:
        pairs: a line and its baseline, or several of a curve; the last line is the one that claims.
        shown: the column whose gain is judged.
        worst: the column of the worst case.
        audited: what was shown, on the images of the worst case.
        reach: the column that the paper's figure stands in; "" judges no distance from it.
        alpha: level of a test over trainings.
    """
    line = pairs[-1][0]
    found: dict[str, Evidence] = {
        "gain": Gain([((ours, shown), (theirs, shown)) for ours, theirs in pairs], alpha),
        "worst case": Gain([((ours, worst), (theirs, worst)) for ours, theirs in pairs], alpha),
        "gap": Gain([((line, audited), (line, worst))]),
    }
    return found | ({"reach": Reach(line, reach)} if reach and line.cells[reach].paper is not None else {})




def _with_source(model: Model) -> list[Model]:
    return [*(_with_source(model.examples_of) if model.examples_of else ()), model]


def _outcomes(measured: "Measured", line: Line, column: str) -> list[Tensor]:
    cell = line.cells[column]
    assert isinstance(cell, Share | Lowest), column
    return cell.outcomes(measured, line.members(measured))


def _test_to_train(line: Line) -> float:
    """Two halves of a cross-validation test each other; trainings with other seeds have one test set."""
    return 1.0 if line.models[0].fold else 0.0
