"""A table or figure of a paper, measured again, as typed data: ``advtool.reproduce/1``.

What a paper only draws, or what was not measured, is None, and stays blank in every view.
"""

from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from advtool.results.record import Document, Interval, Record

Verdict = Literal["holds", "partly", "does not", "undecided", "gradient masking"]
Unit = Literal["per cent", "seconds", "times", "noise level"]
"""How the figures of a column are written: a share of images, seconds, a ratio, a standard deviation of pixels."""


class Column(Record):
    """One figure that a table has of each row."""

    name: str
    unit: Unit = "per cent"


class Figure(Record):
    """The paper's value beside ours; accuracies are fractions."""

    optional: ClassVar[frozenset[str]] = frozenset({"each", "missing"})

    paper: float | None = None
    paper_deviation: float | None = None
    paper_significant: bool | None = None
    """whether the paper marks its value with a star"""
    ours: float | None = None
    interval: Interval | None = None
    """95 %, of one measured proportion"""
    deviation: float | None = None
    """standard deviation of the sample over ``repeats`` measurements; ``ours`` is their mean or median"""
    repeats: int | None = None
    each: list[float] | None = None
    """of each model, by seed or by fold, where ``ours`` is their mean"""
    significant: bool | None = None
    """whether the gain of the row is significant by the paper's test; None where it was not made"""
    missing: str | None = None
    """why there is no value of ours although it was asked for"""


class Estimate(Record):
    """What a rule reads: a difference or a ratio with its interval."""

    value: float
    interval: Interval
    """95 %; both ends are the value where it is exact"""
    how: str
    """how the interval was made"""


class Row(Record):
    """One line of a table; ``labels`` fill its label columns. A row that claims nothing has no verdict."""

    optional: ClassVar[frozenset[str]] = frozenset({"left"})

    labels: list[str]
    figures: dict[str, Figure]
    """by the name of the column; a column that is missing was not measured"""
    codes: list[str] = []
    """masking findings of our audit, each raised for half of the row's models or more"""
    baseline_codes: list[str] = []
    """those of the baseline, which then do not count against the row; empty where they do"""
    evidence: dict[str, Estimate] = {}
    """everything that the rule reads beside the codes and figures, so that a row can be judged again"""
    verdict: Verdict | None = None
    why: str | None = None
    left: str | None = None
    """what is not finished of a row that has no figures or no verdict yet; None: nothing"""


class Point(Record):
    """A bar's height or a curve's point."""

    x: float | str
    y: float
    interval: Interval | None = None


class Series(Record):
    """The bars of one colour, or one curve; ``paper`` marks what the paper states."""

    name: str
    points: list[Point]
    paper: bool = False


class Panel(Record):
    """One of the plots that make up the figure."""

    title: str
    kind: Literal["bars", "curves", "image"]
    x_label: str = ""
    y_label: str = ""
    share: bool = True
    """y is a fraction, drawn from 0 to 1; an image's values are pixels in [0, 1]"""
    series: list[Series] = []
    image: list[list[list[float]]] | None = None
    """channels, rows and columns: one channel of anything, or three of colour"""


class Reused(Record):
    """A part that an earlier call had finished, and where and when it did so."""

    optional: ClassVar[frozenset[str]] = frozenset({"command"})

    part: str
    environment: dict[str, Any] = {}
    """empty where nothing was noted"""
    date: AwareDatetime | None = None
    command: str | None = None
    """None where it was not noted"""


class Provenance(Record):
    """How the figures came to be, so that they can be made again."""

    command: str
    scale: str
    cuts: list[str]
    """in what this was less than the paper's protocol; empty if in nothing"""
    datasets: list[str]
    seeds: list[int]
    """of the rows that are finished"""
    models: dict[str, str]
    """SHA-256 of each checkpoint, by its name in the folder ``models``"""
    environment: dict[str, Any]
    """of this call; what was reused has its own"""
    date: AwareDatetime
    reused: list[Reused] = []


class Reproduced(Document):
    """A finished reproduction. ``to_dict`` is the JSON document of ``advtool reproduce``."""

    schema_name: Literal["advtool.reproduce/1"] = Field(default="advtool.reproduce/1", alias="schema")
    name: str
    title: str
    paper: str
    claim: str
    rule: str
    """how the verdicts follow from the evidence"""
    label_columns: list[str]
    columns: list[Column]
    rows: list[Row]
    verdict: Verdict | None
    """over all rows that have one"""
    panels: list[Panel]
    notes: list[str]
    provenance: Provenance

    @property
    def is_a_finding(self) -> bool:
        """Whether a verdict speaks of the paper: what small trainings reach does not, the time that they take does."""
        of_times = all(column.unit in ("seconds", "times") for column in self.columns)
        return self.provenance.scale in ("night", "paper") or (self.provenance.scale == "cpu" and of_times)


class Standing(Record):
    """How much of a table is done."""

    name: str
    title: str
    datasets: list[str]
    hours: float | None
    """of one core, about, for all of it; null where nobody knows"""
    rows: int
    rows_done: int
    """with every figure, and a verdict if they claim something"""
    steps: int
    """trainings, evaluations and timings; what several tables share counts in each"""
    steps_done: int
    verdicts: dict[str, int]
    """how many rows have each"""


class Reproductions(Document):
    """The tables at one scale, and how much of them a folder holds: the answer of ``--list`` and of ``all``."""

    schema_name: Literal["advtool.reproductions/1"] = Field(default="advtool.reproductions/1", alias="schema")
    scale: str
    folder: str
    tables: list[Standing]
