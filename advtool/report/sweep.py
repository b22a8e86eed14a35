"""A sweep as a table for people, as CSV and as Markdown."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from advtool.report.rows import duration, number, percent, span, subject
from advtool.report.table import WIDTH, plain
from advtool.results import EotCurve, EotSweep, EpsSweep, Interval, PairedChange, Sweep, SweepPoint

WORST_CASE = "worst case"
AXES = {"eps": "eps", "eot": "EOT samples"}


@dataclass(frozen=True)
class Curve:
    """One line of a plot, one section of a table."""

    name: str
    points: list[SweepPoint]


def curves(sweep: Sweep) -> list[Curve]:
    """A curve for each attack, and the worst case where it differs from a single attack's."""
    attacks = [Curve(curve.name, curve.points) for curve in sweep.curves]
    return attacks if len(attacks) == 1 else [*attacks, Curve(WORST_CASE, sweep.worst_case)]


def as_text(sweep: Sweep) -> str:
    """The table as plain text, 80 columns wide."""
    return plain(renderable(sweep))


def renderable(sweep: Sweep) -> RenderableType:
    """The table for a Rich console: a section for each curve."""
    table = Table(title=Text(heading(sweep)), title_justify="left", title_style="bold", min_width=WIDTH)
    table.add_column("attack", overflow="fold", ratio=1)
    for column in (AXES[sweep.over], "accuracy", "95 % interval", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    for curve in curves(sweep):
        style = "bold red" if curve.name == WORST_CASE else ""
        for point in curve.points:
            cells = [
                curve.name if point is curve.points[0] else "",
                value(point.value),
                percent(point.accuracy),
                span(point.interval),
                duration(point.seconds),
            ]
            table.add_row(*map(Text, cells), style=style, end_section=point is curve.points[-1])
    return Group(table, *(Text(note) for note in notes(sweep)))


def as_csv(sweep: Sweep) -> str:
    """A line for each point; the second column is named after what was swept. What does not apply is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("attack", sweep.over, "accuracy", "low", "high", "images", "seconds", "accuracy_on_examples"))
    for curve in curves(sweep):
        for point in curve.points:
            figures = (point.value, point.accuracy, *point.interval, point.total)
            writer.writerow((curve.name, *figures, point.seconds, point.accuracy_on_examples))
    return text.getvalue()


def as_markdown(sweep: Sweep) -> str:
    """Heading, table, notes."""
    lines = [
        f"{heading(sweep)}:",
        "",
        f"| attack | {AXES[sweep.over]} | accuracy | 95 % interval |",
        "|---|---:|---:|---:|",
        *(
            f"| {curve.name} | {value(point.value)} | {percent(point.accuracy)} | {span(point.interval)} |"
            for curve in curves(sweep)
            for point in curve.points
        ),
    ]
    remarks = [f"- {note}" for note in notes(sweep)]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"


def heading(sweep: Sweep) -> str:
    """What was evaluated, on what, and what stayed the same at every point."""
    if isinstance(sweep, EotSweep):
        fixed = f" eps {number(sweep.eps)}, {sweep.votes} votes"
    else:
        averaged = max(sweep.eot, sweep.votes) > 1
        fixed = f", {sweep.eot} EOT samples, {sweep.votes} votes" if averaged else ""
    clean = f"clean {percent(sweep.clean.accuracy)}"
    return f"{subject(sweep)}, {sweep.norm}{fixed}, seed {sweep.seed}, {clean}"


def notes(sweep: Sweep) -> Iterator[str]:
    """What a reader should know beside the figures."""
    if isinstance(sweep, EpsSweep):
        for eps_curve in sweep.curves:
            if eps_curve.rise is not None:
                yield _rise(eps_curve.name, eps_curve.rise)
    else:
        yield from map(_proposal, sweep.curves)
    for finding in sweep.warnings:
        where = f"{AXES[sweep.over]} {value((finding.model_extra or {})['value'])}"
        yield f"{where}: {finding.kind} [{finding.code}]: {finding.message}"


def value(swept: float) -> str:
    """A count as it is; an eps as ``0.3`` or ``8/255``."""
    return str(swept) if isinstance(swept, int) else number(swept)


def _rise(name: str, rise: PairedChange) -> str:
    return (
        f"{name}: accuracy rises by {_points(rise.difference)} points ({_bounds(rise.interval)}) from eps "
        f"{value(rise.start)} to {value(rise.end)}. The larger ball holds the smaller one, so this attack misses "
        "examples that exist: its curve is no measure of robustness there"
    )


def _proposal(curve: EotCurve) -> str:
    tolerance = _points(curve.tolerance)
    if curve.enough is None:
        last = curve.falls[-1]
        return (
            f"{curve.name}: take {value(last.end)} EOT samples or more. No smaller count is shown to come within "
            f"{tolerance} points of the larger ones: the step from {value(last.start)} to {value(last.end)} may be "
            f"{_bounds(last.interval)} points; more images tell more"
        )
    fall = next(fall for fall in curve.falls if fall.start == curve.enough)
    return (
        f"{curve.name}: {curve.enough} EOT samples are enough. With more, up to {value(curve.points[-1].value)}, "
        f"accuracy falls by less than {tolerance} points (at {value(fall.end)} it changes by "
        f"{_points(fall.difference)}, {_bounds(fall.interval)})"
    )


def _bounds(interval: Interval) -> str:
    return f"paired 95 %: {_points(interval[0])} to {_points(interval[1])}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
