"""A table of a paper as data: its claim, its lines, and the rule that judges them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc

from advtool.data.catalogue import KNOWN
from advtool.errors import InputError, near_match
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.lines import Line
from advtool.reproduce.measured import Measured
from advtool.reproduce.verdict import Judgement, Rule, best_of, together, unless_smaller
from advtool.results import Panel, Row, Verdict


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
    smaller_refutes_nothing: bool = False
    """the evidence tells how large a training is: one smaller than the paper's refutes nothing"""
    datasets: tuple[str, ...]
    """what the paper shows it on"""
    other_datasets: Mapping[Scale, tuple[str, ...]] = field(default_factory=lambda: {Scale.smoke: ("digits",)})
    """what a scale takes instead if nothing is asked for"""
    label_columns: tuple[str, ...]
    readings: tuple[str, ...] = ()
    """label columns that tell the readings of a claim apart, where the paper's text allows several"""
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
        return TABLES[self.name].title if self.name in TABLES else self.name

    def datasets_at(self, scale: Scale) -> tuple[str, ...]:
        """What a scale takes if nothing is asked for."""
        return self.other_datasets.get(scale, self.datasets)

    @property
    def printed_rule(self) -> str:
        """The docstrings of the rule and of what it combines."""
        of_table = [*([unless_smaller] if self.smaller_refutes_nothing else []), *([best_of] if self.readings else [])]
        rules = (self.rule, *self.rules, *of_table)
        return " ".join(word for rule in rules for word in (getdoc(rule) or "").split())

    def all_lines(self, scale: Scale, datasets: Sequence[str]) -> list[Line]:
        """Data set by data set."""
        return [line for dataset in datasets for line in self.lines(scale, dataset)]

    def judged(self, row: Row) -> Row:
        """The row with the verdict of the rule on its evidence."""
        judgement = self._judgement(row)
        verdict, why = (judgement.verdict, judgement.why) if judgement else (None, None)
        return row.model_copy(update={"verdict": verdict, "why": why})

    def overall(self, rows: Iterable[Row]) -> Verdict | None:
        """The verdict over judged rows: of each claim its best reading, and these like the parts of a claim."""
        claims: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            labels = zip(self.label_columns, row.labels, strict=True)
            claim = tuple(label for column, label in labels if column not in self.readings)
            claims.setdefault(claim, []).append(row)
        return together(map(self._best, claims.values()))

    def _best(self, readings: Sequence[Row]) -> Verdict | None:
        able = best_of(row.verdict for row in readings if not self._cannot_hold(row))
        return able or best_of(row.verdict for row in readings)

    def _cannot_hold(self, row: Row) -> bool:
        judgement = self._judgement(row) if row.verdict == "undecided" else None
        return bool(judgement and judgement.cannot_hold)

    def _judgement(self, row: Row) -> Judgement | None:
        judgement = self.rule(row) if row.evidence else None
        return unless_smaller(judgement, row) if judgement and self.smaller_refutes_nothing else judgement


def check_datasets(names: Iterable[str]) -> None:
    """Refuse an unknown data set.

    Raises:
        InputError: with the nearest name.
    """
    for name in names:
        if name not in KNOWN:
            raise InputError(f"--dataset '{name}': no such data set{near_match(name, KNOWN)}")
