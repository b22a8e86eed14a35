"""The lines of a table, and the evidence that a rule reads of a line with a claim."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from advtool.reproduce import gains
from advtool.reproduce.cells import Cell
from advtool.reproduce.measured import Measured
from advtool.reproduce.steps import Asked, Learned, Model, Question, Step
from advtool.results import Estimate, Figure


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a table. ``labels`` fill the label columns, ``cells`` the others by their names."""

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    models: tuple[Model, ...] = ()
    """one, or one for each fold or seed"""
    chosen_by: str = ""
    """the figure on the card that picks the best of ``models``; "": all models"""
    evidence: "Mapping[str, Evidence]" = field(default_factory=dict)
    """what the rule reads, by name; a line without any claims nothing"""
    star: "Star | None" = None

    @property
    def questions(self) -> list[Question]:
        """To each of the models."""
        return [question for cell in self.cells.values() for question, _ in (*cell.of, *cell.lowest_of)]

    def members(self, measured: Measured) -> Sequence[Model]:
        """The models that the line speaks of."""
        if not self.chosen_by:
            return [measured.chosen.get(model, model) for model in self.models]
        return [max(self.models, key=lambda model: float(measured.cards[model].metrics[self.chosen_by]))]

    def outcomes(self, measured: Measured, column: str) -> list[Tensor]:
        """Which images count in a column that is a share, bool (N,) of each model."""
        return self.cells[column].outcomes(measured, self.members(measured))

    def steps(self) -> Iterator[Step]:
        """What it needs, in an order in which it can be done; the models of a timing are not trained to their end."""
        timings = {cell.timing for cell in self.cells.values() if cell.timing}
        named = [*self.models, *(model for timing in timings for model in timing.models)]
        yield from (needed for model in named for needed in model.needed)
        for model in () if timings else self.models:
            yield model
            yield from (Asked(model, question) for question in self.questions)
            if any(cell.learned for cell in self.cells.values()):
                yield Learned(model)
        yield from timings


@dataclass(frozen=True)
class Gain:
    """How far a column of a line is above that of its baseline.

    ``pairs`` are the line and its baseline, or several of a curve: then it is the mean over them.
    """

    pairs: "Sequence[tuple[Line, Line]]"
    column: str
    of_baseline: str = ""
    """the column of the baseline, if it is another one"""
    beyond: "Sequence[tuple[Line, Line]]" = ()
    """as many pairs, whose mean gain is taken off"""

    @property
    def lines(self) -> "list[Line]":
        """All lines that it speaks of."""
        return [line for pair in (*self.pairs, *self.beyond) for line in pair]

    def estimate(self, measured: Measured, _: Mapping[str, Figure]) -> Estimate:
        """With its interval."""
        model = self.pairs[0][0].members(measured)[0]
        trained_on = measured.cards[model].recipe["train_images"] if model.fold else None
        points = self._points(measured, self.pairs)
        if self.beyond:
            return gains.contrast(points, self._points(measured, self.beyond), trained_on=trained_on)
        return gains.gain(points, trained_on=trained_on)

    def is_significant(self, measured: Measured, alpha: float) -> bool:
        """By the paper's t-test over all folds."""
        return gains.t_test(self._points(measured, self.pairs)).p_value < alpha

    def _points(self, measured: Measured, pairs: "Sequence[tuple[Line, Line]]") -> list[gains.Pair]:
        other = self.of_baseline or self.column
        return [(ours.outcomes(measured, self.column), theirs.outcomes(measured, other)) for ours, theirs in pairs]


@dataclass(frozen=True)
class Difference:
    """How far a column of a line is above that of its baseline, where it is known as a figure, not image by image."""

    line: "Line"
    baseline: "Line"
    column: str

    @property
    def lines(self) -> "list[Line]":
        """Both lines."""
        return [self.line, self.baseline]

    def estimate(self, measured: Measured, _: Mapping[str, Figure]) -> Estimate:
        """With its interval."""
        ours, theirs = (each.cells[self.column].figure(measured, each.members(measured)) for each in self.lines)
        return gains.between(ours, theirs)


@dataclass(frozen=True)
class Shown:
    """What stands in a column of the line itself."""

    column: str

    @property
    def lines(self) -> "list[Line]":
        """None but the line itself."""
        return []

    def estimate(self, _: Measured, figures: Mapping[str, Figure]) -> Estimate:
        """The figure with the interval of its repeats."""
        return gains.of_figure(figures[self.column])


@dataclass(frozen=True)
class Claimed:
    """What the paper claims at least."""

    value: float

    @property
    def lines(self) -> "list[Line]":
        """None: the paper alone."""
        return []

    def estimate(self, _: Measured, __: Mapping[str, Figure]) -> Estimate:
        """The value itself."""
        return gains.exact(self.value)


Evidence = Gain | Difference | Shown | Claimed


class Star(NamedTuple):
    """A column that has the paper's star if the gain of the line is significant at ``alpha``."""

    column: str
    alpha: float


def robustness(
    pairs: Sequence[tuple[Line, Line]],
    shown: str,
    audited: str,
    *,
    beside_baseline: bool = False,
    least: float = 0.0,
) -> dict[str, Evidence]:
    """What :func:`advtool.reproduce.verdict.robust` reads of a claim that a line is more robust than its baseline.

    Args:
        pairs: the line and its baseline, or several of a curve, whose last line claims.
        shown: the column that is judged.
        audited: the same on the images of the worst case.
        beside_baseline: what hides a gain does not count where it hides as much of the baseline's accuracy.
        least: the smallest gain that the paper claims.
    """
    line, baseline = pairs[-1]
    found: dict[str, Evidence] = {
        "gain": Gain(pairs, shown),
        "worst case": Gain(pairs, "worst case"),
        "gap": Gain([(line, line)], audited, "worst case"),
    }
    if beside_baseline:
        found["baseline's gap"] = Gain([(baseline, baseline)], audited, "worst case")
    return found | ({"gain, claimed": Claimed(least)} if least else {})
