"""A reproduced table or figure of a paper: the paper's value beside ours, and the verdict."""

from collections.abc import Iterator
from functools import partial

from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import SHARE, WORDS, decimals
from advtool.results import Column as Measured
from advtool.results import Figure, Interval, Provenance, Reproduced, notation
from advtool.results import Row as MeasuredRow

WIDTH = 120
"""Wider than the other tables: a row has a paper's figure beside each of ours."""
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
        facts=(("", f"{result.paper}."), ("Claim", result.claim)),
        columns=tuple(_columns(result)),
        rows=tuple(_row(result, row) for row in result.rows),
        verdict=result.verdict,
        reasons=tuple(_reasons(result)),
        rule=result.rule,
        notes=(*result.notes, *_missing(result), *_how_made(result.provenance)),
        width=WIDTH,
    )


def _columns(result: Reproduced) -> Iterator[Column]:
    """A terminal has the paper's value in brackets, a page has it in a column of its own."""
    yield from (Column(label, label, WORDS) for label in result.label_columns)
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
    yield Column("masking codes", "masking codes", WORDS, Reader.PAGE | Reader.PROGRAM)
    yield Column("verdict", "verdict", VERDICT)


def _row(result: Reproduced, row: MeasuredRow) -> Row:
    labels = dict(zip(result.label_columns, row.labels, strict=True))
    verdict = row.verdict or (NOT_FINISHED if row.left else None)
    values = {**labels, **row.figures, "masking codes": ", ".join(row.codes), "verdict": verdict}
    return Row(values, kind=row.verdict or "", section=tuple(row.labels[:2]))


def _pair(column: Measured, found: Figure) -> str:
    """``98.4 % (98.9 %)``: ours, and the paper's in brackets."""
    if found.missing:
        return MISSING
    paper = _written(column, found.paper)
    return _written(column, found.ours, star=found.significant) + (f" ({paper})" if paper else "")


def paper_value(column: Measured, found: Figure) -> str:
    """The paper's figure with its deviation; blank where it states none."""
    return _written(column, found.paper, found.paper_deviation, star=found.paper_significant)


def own_value(column: Measured, found: Figure) -> str:
    """Ours with its interval or deviation, a dash where there is none although it was asked for."""
    return (
        MISSING
        if found.missing
        else _written(column, found.ours, found.deviation, found.interval, star=found.significant)
    )


def _written(
    column: Measured,
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
            yield f"{', '.join(filter(None, row.labels))}: {NOT_FINISHED}: {row.left}"
        if row.verdict and row.why:
            yield f"{', '.join(filter(None, row.labels))}: {row.verdict}: {row.why}"


def _missing(result: Reproduced) -> Iterator[str]:
    """What a dash stands for, by the column."""
    found = ((name, figure.missing) for row in result.rows for name, figure in row.figures.items() if figure.missing)
    yield from (f"A dash under {name}: {reason}" for name, reason in dict.fromkeys(found))


def _how_made(made: Provenance) -> Iterator[str]:
    """How it was cut down, and how it can be made again."""
    cuts = f", cut down: {'; '.join(made.cuts)}" if made.cuts else ": the paper's protocol"
    yield f"scale {made.scale}{cuts}"
    if made.scale == "smoke":
        yield "this only shows that everything runs: the figures and verdicts of the scale smoke mean nothing"
    where = made.environment
    yield (
        f"{made.command or 'made from Python'}; seeds {', '.join(map(str, made.seeds))}; {made.date:%Y-%m-%d}, "
        f"{where['device']}, {where['threads']} threads, torch {where['torch']}, ART {where['art']}, "
        f"Python {where['python']}, advtool {where['advtool']}"
    )
