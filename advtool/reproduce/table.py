"""A table of a paper as data: its lines, what stands in each, and what the rule reads of a line with a claim."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc
from statistics import fmean, median, stdev

from torch import Tensor

from advtool.evaluation import gains
from advtool.evaluation.uncertainty import wilson_interval
from advtool.reproduce.measured import Measured
from advtool.reproduce.registry import TABLES, Scale
from advtool.reproduce.steps import Asked, Learned, Model, Question, Step, Timing
from advtool.reproduce.verdict import Rule
from advtool.results import CERTIFIED, Estimate, Figure, Panel, Row, Unit


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of a line beside the paper's: a share of images, or what ``read`` finds of the line's first model.

    A share pairs questions with the stage that the images survive: ``clean``, an attack, or ``worst case``, every
    attack of the question; ``fgsm on examples`` counts as the first paper does, the final examples that are classified
    right, whatever the image was before. Of several pairs it is the one with the lowest mean, the second paper's Min.
    ``certified`` are the images that no attack can break.
    """

    of: tuple[tuple[Question, str], ...] = ()
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
        every = (
            [_surviving(measured, Asked(model, question), stage) for model in models] for question, stage in self.of
        )
        return min(every, key=lambda outcomes: fmean(map(gains.share, outcomes)))

    def figure(self, measured: Measured, models: Sequence[Model]) -> Figure:
        """Our value: of one model with Wilson's interval, of several the mean and the standard deviation."""
        if self.read:
            return self.read(measured, models[0])
        if reason := self._missing(measured, models):
            return Figure(missing=reason)
        outcomes = self.outcomes(measured, models)
        values = [gains.share(each) for each in outcomes]
        if len(values) > 1:
            return Figure(ours=fmean(values), deviation=stdev(values), repeats=len(values))
        return Figure(ours=values[0], interval=wilson_interval(int(outcomes[0].sum()), len(outcomes[0])))

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


def metric(name: str, paper: float | None = None) -> Cell:
    """A share of the validation images, which the training noted on the model's card."""

    def read(measured: Measured, model: Model) -> Figure:
        noted = measured.cards[model].metrics
        value, images = float(noted[name]), int(noted["validation_images"])
        return Figure(ours=value, interval=wilson_interval(round(value * images), images))

    return Cell(read=read, paper=paper)


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


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a table. ``labels`` fill the label columns, ``cells`` the others by their names."""

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    models: tuple[Model, ...] = ()
    """one, or one for each fold or seed"""
    chosen_by: str = ""
    """the figure on the card that picks the best of ``models``; "": all models"""
    evidence: "Mapping[str, Gain | str]" = field(default_factory=dict)
    """what the rule reads, by name: a gain, or what stands in a column; a line without any claims nothing"""

    @property
    def questions(self) -> list[Question]:
        """To each of the models."""
        return [question for cell in self.cells.values() for question, _ in cell.of]

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
    """How far a column of a line is above that of its baseline, or above the paper's figure in it (None).

    ``pairs`` are the line and its baseline, or several of a curve: then it is the mean over them.
    """

    pairs: Sequence[tuple[Line, Line | None]]
    column: str
    of_baseline: str = ""
    """the column of the baseline, if it is another one"""
    alpha: float = 0.05
    """level of a test over trainings"""

    @property
    def lines(self) -> list[Line]:
        """All lines that it speaks of."""
        return [line for pair in self.pairs for line in pair if line is not None]

    def estimate(self, measured: Measured) -> Estimate:
        """With its interval."""
        # Two halves of a cross-validation test each other; trainings with other seeds have one test set.
        folded = self.pairs[0][0].models[0].fold is not None
        points: list[tuple[list[Tensor], gains.Side]] = []
        for line, baseline in self.pairs:
            ours = line.outcomes(measured, self.column)
            paper = float(line.cells[self.column].paper or 0.0)
            theirs = baseline.outcomes(measured, self.of_baseline or self.column) if baseline else paper
            if folded or len(ours) >= gains.MIN_TRAININGS:
                points.append((ours, theirs))
            else:  # few seeds on the same images are no further images
                points += [([each], [theirs[i]] if isinstance(theirs, list) else theirs) for i, each in enumerate(ours)]
        return gains.gain(points, test_to_train=float(folded), alpha=self.alpha)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or figure of a paper."""

    name: str
    paper: str
    claim: str
    """what the paper says with it"""
    rule: Rule
    """from a row to its verdict; the docstring is printed"""
    rules: tuple[Callable[..., object], ...] = ()
    """what the rule combines; their docstrings are printed behind its own"""
    datasets: tuple[str, ...]
    """what the paper shows it on"""
    other_datasets: Mapping[Scale, tuple[str, ...]] = field(default_factory=lambda: {Scale.smoke: ("digits",)})
    """what a scale takes instead if nothing is asked for"""
    label_columns: tuple[str, ...]
    lines: Callable[[Scale, str], Iterable[Line]]
    """of a scale and a data set"""
    bars: tuple[tuple[str, ...], ...] = ()
    """columns of a panel each, one for every group of rows that share their first ``split`` labels"""
    curves: tuple[str, ...] = ()
    """columns of a panel each, one for every data set: a curve for each second label against the third"""
    split: int = 1
    pictures: Callable[[Measured, Line], list[Panel]] = lambda *_: []
    """images of a line"""
    notes: tuple[str, ...] = ()
    """what a reader should know beside the figures"""
    differs: tuple[str, ...] = ()
    """in what even the scale paper is less than the paper's protocol"""

    @property
    def title(self) -> str:
        """What it shows."""
        return TABLES.get(self.name, self.name)

    def datasets_at(self, scale: Scale) -> tuple[str, ...]:
        """What a scale takes if nothing is asked for."""
        return self.other_datasets.get(scale, self.datasets)

    @property
    def printed_rule(self) -> str:
        """The docstrings of the rule and of what it combines."""
        return " ".join(word for rule in (self.rule, *self.rules) for word in (getdoc(rule) or "").split())

    def all_lines(self, scale: Scale, datasets: Sequence[str]) -> list[Line]:
        """Data set by data set."""
        return [line for dataset in datasets for line in self.lines(scale, dataset)]

    def judged(self, row: Row) -> Row:
        """The row with the verdict of the rule on its evidence."""
        judgement = self.rule(row) if row.evidence else None
        verdict, why = (judgement.verdict, judgement.why) if judgement else (None, None)
        return row.model_copy(update={"verdict": verdict, "why": why})


def robustness(
    pairs: Sequence[tuple[Line, Line]], shown: str, audited: str, *, reach: str = "", alpha: float = 0.05
) -> dict[str, Gain | str]:
    """What :func:`advtool.reproduce.verdict.robust` reads of a claim that a line is more robust than its baseline.

    ``pairs`` are the line and its baseline, or several of a curve, whose last line claims. Judged is the column
    ``shown``; ``audited`` is the same on the images of the worst case; ``reach`` has the paper's figure, if any counts.
    """
    line = pairs[-1][0]
    found: dict[str, Gain | str] = {
        "gain": Gain(pairs, shown, alpha=alpha),
        "worst case": Gain(pairs, "worst case", alpha=alpha),
        "gap": Gain([(line, line)], audited, "worst case"),
    }
    states = reach and line.cells[reach].paper is not None
    return found | ({"reach": Gain([(line, None)], reach)} if states else {})


def _surviving(measured: Measured, asked: Asked, stage: str) -> Tensor:
    outcomes = measured.answers[asked].outcomes
    attack, _, on_examples = stage.partition(" on ")
    if on_examples:
        return outcomes.on_examples[attack]
    if stage == CERTIFIED:
        return outcomes.certified
    return outcomes.worst_case if stage == "worst case" else outcomes.survives(stage)
