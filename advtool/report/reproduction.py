"""A reproduced table or figure of a paper: the paper's value beside ours, and the verdict."""

from collections.abc import Iterator
from functools import partial

from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import SHARE, WORDS, decimals
from advtool.results import Column as Measured
from advtool.results import Figure, Provenance, Reproduced, notation
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
        notes=(*result.notes, *_how_made(result.provenance)),
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
            yield Column(f"{name}, paper", name, Unit(partial(_paper, column)), Reader.PAGE)
        yield Column(f"{name}, ours" if stated else name, name, Unit(partial(_ours, column)), Reader.PAGE)
        yield Column("", name, FIGURE, Reader.PROGRAM)
    yield Column("masking codes", "masking codes", WORDS, Reader.PAGE | Reader.PROGRAM)
    yield Column("verdict", "verdict", VERDICT)


def _row(result: Reproduced, row: MeasuredRow) -> Row:
    labels = dict(zip(result.label_columns, row.labels, strict=True))
    values = {**labels, **row.figures, "masking codes": ", ".join(row.codes), "verdict": row.verdict}
    return Row(values, kind=row.verdict or "", section=tuple(row.labels[:2]))


def _pair(column: Measured, found: Figure) -> str:
    """``98.4 % (98.9 %)``: ours, and the paper's in brackets."""
    paper = "" if found.paper is None else f" ({_figure(column, found.paper)})"
    return f"{_figure(column, found.ours)}{_star(found.significant)}{paper}"


def _paper(column: Measured, found: Figure) -> str:
    deviation = _deviation(column, found.paper_deviation)
    return f"{_figure(column, found.paper)}{_star(found.paper_significant)}{deviation}"


def _ours(column: Measured, found: Figure) -> str:
    """Our value, and its interval or its deviation."""
    spread = _deviation(column, found.deviation)
    if found.interval is not None:
        spread = f" ({notation.percent_interval(found.interval)})"
    return f"{_figure(column, found.ours)}{_star(found.significant)}{spread}"


def _figure(column: Measured, value: float | None) -> str:
    return "" if value is None else UNITS[column.unit].write(value)


def _deviation(column: Measured, value: float | None) -> str:
    return "" if value is None else f" ± {DEVIATIONS.get(column.unit, decimals(3)).write(value)}"


def _star(significant: bool | None) -> str:
    return "*" if significant else ""


def _reasons(result: Reproduced) -> Iterator[str]:
    """Why each row has its verdict."""
    for row in result.rows:
        if row.verdict and row.why:
            yield f"{', '.join(filter(None, row.labels))}: {row.verdict}: {row.why}"


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
