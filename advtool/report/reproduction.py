"""A reproduced table or figure of a paper: the paper's value beside ours, and the verdict."""

from collections.abc import Iterator
from functools import partial

from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import SHARE, WORDS, decimals
from advtool.results import Column as MeasuredColumn
from advtool.results import Figure, Interval, Reproduced, notation
from advtool.results import Row as MeasuredRow

UNITS = {
    "per cent": SHARE,
    "seconds": Unit(lambda seconds: f"{seconds:.3f} s"),
    "times": decimals(2),
    "noise level": decimals(3),
}
DEVIATIONS = {"per cent": Unit(notation.points), "times": decimals(2)}
"""What follows after ±, where it is not three digits behind the point."""
MISSING = SHARE.blank
"""Where a value of ours was asked for and there is none; what nobody asked for is blank."""
NOT_FINISHED = "not finished"
"""In place of a verdict: nobody judges on half of the evidence."""
MANY_ROWS = 40
"""From so many on the head says where the highest figures are."""
VERDICT = Unit(words=True, strong=True)
FIGURE = Unit(
    parts=("paper", "ours", "deviation", "low", "high"),
    split=lambda figure: [figure.paper, figure.ours, figure.deviation, *(figure.interval or (None, None))],
)
"""What a program gets of a figure."""


def table(result: Reproduced) -> Table:
    """What was not stated or not measured is blank."""
    return Table(
        name=result.name,
        title=result.title,
        facts=(("", f"{result.paper}."), ("Claim", result.claim), *_of_all_rows(result), *_highest(result)),
        columns=tuple(_columns(result)),
        rows=tuple(_row(result, row) for row in result.rows),
        verdict=result.verdict,
        reasons=tuple(_reasons(result)),
        rule=result.rule,
        notes=(*result.notes, *_missing(result), *_how_made(result)),
    )


def _constant(result: Reproduced) -> dict[str, str]:
    """The labels that are the same in every row, where others tell the rows apart."""
    values = dict(zip(result.label_columns, zip(*(row.labels for row in result.rows), strict=True), strict=False))
    same = {label: each[0] for label, each in values.items() if len({*each}) == 1}
    return same if len(same) < len(values) else {}


def _of_all_rows(result: Reproduced) -> Iterator[tuple[str, str]]:
    """What stands in the head instead of in every row."""
    same = ", ".join(f"{label} {value}" for label, value in _constant(result).items() if value)
    if same:
        yield "All rows", same


def _highest(result: Reproduced) -> Iterator[tuple[str, str]]:
    """Where the highest share of each column is, if nobody finds it at a glance."""
    for column in result.columns if len(result.rows) >= MANY_ROWS else ():
        found = ((row.figures[column.name].ours, row) for row in result.rows if column.name in row.figures)
        known = [(ours, row) for ours, row in found if ours is not None and column.unit == "per cent"]
        if known:
            best, row = max(known, key=lambda each: each[0])
            yield f"Highest {column.name}", f"{_written(column, best)}: {_name(result, row)}"


def _name(result: Reproduced, row: MeasuredRow) -> str:
    """The labels that tell it from the others."""
    same = _constant(result)
    labels = zip(result.label_columns, row.labels, strict=True)
    return ", ".join(value for label, value in labels if value and label not in same)


def _columns(result: Reproduced) -> Iterator[Column]:
    """A terminal has the paper's value in brackets, a page has it in a column of its own; what says nothing of a row
    is for programs alone.
    """
    same = _constant(result)
    yield from (Column(name, name, WORDS, _read(name not in same)) for name in result.label_columns)
    for column in result.columns:
        found = [row.figures[column.name] for row in result.rows if column.name in row.figures]
        if not found:
            continue
        name, stated = column.name, any(figure.paper is not None for figure in found)
        yield Column(name, name, Unit(partial(_pair, column)), Reader.TERMINAL)
        if stated:
            yield Column(f"{name}, paper", name, Unit(partial(paper_value, column)), Reader.PAGE)
        yield Column(f"{name}, ours" if stated else name, name, Unit(partial(own_value, column)), Reader.PAGE)
        yield Column("", name, FIGURE, Reader.PROGRAM)
    readers = Reader.PAGE | Reader.PROGRAM if any(row.codes for row in result.rows) else Reader.PROGRAM
    yield Column("masking codes", "masking codes", WORDS, readers)
    yield Column("verdict", "verdict", VERDICT, _read(any(row.verdict or row.left for row in result.rows)))


def _read(says_something: bool) -> Reader:
    return Reader.ALL if says_something else Reader.PROGRAM


def _row(result: Reproduced, row: MeasuredRow) -> Row:
    labels = dict(zip(result.label_columns, row.labels, strict=True))
    verdict = row.verdict or (NOT_FINISHED if row.left else None)
    values = {**labels, **row.figures, "masking codes": ", ".join(row.codes), "verdict": verdict}
    return Row(values, kind=row.verdict or "", section=tuple(row.labels[:2]))


def _pair(column: MeasuredColumn, found: Figure) -> str:
    """``98.4 % (98.9 %)``: ours, and the paper's in brackets."""
    if found.missing:
        return MISSING
    paper = _written(column, found.paper)
    return " ".join(filter(None, (_written(column, found.ours, star=found.significant), paper and f"({paper})")))


def paper_value(column: MeasuredColumn, found: Figure) -> str:
    """The paper's figure with its deviation; blank where it states none."""
    return _written(column, found.paper, found.paper_deviation, star=found.paper_significant)


def own_value(column: MeasuredColumn, found: Figure) -> str:
    """Ours with its interval or deviation, a dash where there is none although it was asked for."""
    if found.missing:
        return MISSING
    return _written(column, found.ours, found.deviation, found.interval, star=found.significant)


def _written(
    column: MeasuredColumn,
    value: float | None,
    deviation: float | None = None,
    interval: Interval | None = None,
    *,
    star: bool | None = None,
) -> str:
    """``98.4 %* ± 0.3``, or with an interval ``98.4 % (97.4 - 99.0)``; blank where there is no value."""
    if value is None:
        return ""
    spread = ""
    if interval is not None:
        spread = f" ({notation.percent_interval(interval)})"
    elif deviation is not None:
        spread = f" ± {DEVIATIONS.get(column.unit, decimals(3)).write(deviation)}"
    return f"{UNITS[column.unit].write(value)}{'*' * bool(star)}{spread}"


def _reasons(result: Reproduced) -> Iterator[str]:
    """Why each row has its verdict, or what is left of it."""
    for row in result.rows:
        if row.left:
            yield f"{_name(result, row)}: {NOT_FINISHED}: {row.left}"
        if row.verdict and row.why:
            yield f"{_name(result, row)}: {row.verdict}: {row.why}"


def _missing(result: Reproduced) -> Iterator[str]:
    """What a dash stands for, by the column."""
    found = ((name, figure.missing) for row in result.rows for name, figure in row.figures.items() if figure.missing)
    yield from (f"A dash under {name}: {reason}" for name, reason in dict.fromkeys(found))


def _how_made(result: Reproduced) -> Iterator[str]:
    """How it was cut down, what that allows to say, and how it can be made again."""
    made = result.provenance
    cuts = f", cut down: {'; '.join(made.cuts)}" if made.cuts else ": the paper's protocol"
    yield f"scale {made.scale}{cuts}"
    if made.scale == "smoke":
        yield "this only shows that everything runs: the figures and verdicts of the scale smoke mean nothing"
    elif not result.is_a_finding:
        yield f"trainings of the scale {made.scale} are small: verdicts on them are no finding about the paper"
    where, of_seeds = made.environment, f"{notation.seeds(made.seeds)}; " if made.seeds else ""
    yield (
        f"{made.command or 'made from Python'}; {of_seeds}{made.date:%Y-%m-%d}, {where['device']}, "
        f"{notation.counted(where['threads'], 'thread')}, torch {where['torch']}, ART {where['art']}, "
        f"Python {where['python']}, advtool {where['advtool']}"
    )
