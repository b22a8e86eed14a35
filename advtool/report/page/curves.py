"""Accuracy against eps, or against EOT samples, as a chart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from advtool.report import to_table
from advtool.report.evaluation import warning
from advtool.report.page import warned
from advtool.report.page.drawing import Point, Shape, Tick, area, even_step, line
from advtool.report.sweep import AXES, WORST_CASE, curves, lacks, place
from advtool.results import CERTIFIED, Diagnostics, EotSweep, EpsPoint, Interval, PageSweep, SweepPoint, notation

STYLES = {WORST_CASE: "worst", CERTIFIED: "certified"}
"""The style of a line that no single attack gives; the others are numbered."""
SHARES = tuple(Tick(percent, f"{percent} %") for percent in (0, 25, 50, 75, 100))


@dataclass(frozen=True)
class Curve:
    """One line of the chart."""

    name: str
    style: str
    path: str
    dots: Sequence[Point]
    band: str | None
    """between the ends of the intervals; None where there are none"""


@dataclass(frozen=True)
class CurveChart:
    """A chart of accuracies between 0 and 100 %."""

    axis: str
    description: str
    curves: Sequence[Curve]
    undecided: Shape | None
    """between what is certified and what no attack broke"""
    clean: float | None
    """height of the clean accuracy, from the top"""
    ticks: Sequence[Tick]
    shares: Sequence[Tick] = SHARES


class SweepView:
    """A sweep as the page shows it.

    Args:
        sweep: its points.
        number: of the sweep on the page, from 1.
    """

    def __init__(self, sweep: PageSweep, number: int) -> None:
        self.id, self.name = f"sweep-{number}", sweep.name
        self.table, self.over = to_table(sweep.result), AXES[sweep.result.over]
        told = {f"{place(sweep.result, finding)}: {warning(finding)}" for finding in sweep.result.warnings}
        self.notes = [*lacks(sweep), *(note for note in self.table.notes if note not in told)]
        self.warnings = list(warned.of_sweep(sweep.result))
        found = curves(sweep.result)
        places = _Axis([point.value for point in sweep.result.worst_case], counts=isinstance(sweep.result, EotSweep))
        self.chart = CurveChart(
            axis=self.over,
            description=_described(found),
            curves=_drawn(found, places),
            undecided=_undecided(found, places),
            clean=100 - 100 * sweep.result.clean.accuracy,
            ticks=places.ticks,
        )


def probed(diagnostics: Diagnostics | None) -> CurveChart | None:
    """What PGD leaves of the diagnosed images at several eps; None if nothing was probed."""
    if diagnostics is None or not diagnostics.by_eps:
        return None
    found = {"pgd": diagnostics.by_eps}
    places = _Axis([point.eps for point in diagnostics.by_eps])
    return CurveChart("eps", _described(found), _drawn(found, places), None, None, places.ticks)


class _Axis:
    """The horizontal axis: even from 0, or logarithmic for counts, whose first draws change most."""

    def __init__(self, values: Sequence[float], *, counts: bool = False) -> None:
        self._counts, self._low, self._high = counts, min(values), max(values)
        step = even_step(self._high, 5)
        even = [step * place for place in range(math.floor(self._high / step + 1e-9) + 1)]
        self.ticks = [Tick(self.at(value), f"{value:g}") for value in (sorted(set(values)) if counts else even)]

    def at(self, value: float) -> float:
        """Where the value lies, in per cent from the left."""
        if self._low == self._high:
            return 100
        if self._counts:
            return 100 * math.log(value / self._low) / math.log(self._high / self._low)
        return 100 * value / self._high


def _drawn(found: Mapping[str, Sequence[SweepPoint] | Sequence[EpsPoint]], axis: _Axis) -> list[Curve]:
    attacks = [name for name in found if name not in STYLES]
    banded = STYLES if WORST_CASE in found else found  # the bands of many attacks would hide one another
    return [
        Curve(
            name=name,
            style=STYLES.get(name) or f"attack-{attacks.index(name) % 6 + 1}",
            path=line(dots := [_dot(axis, point) for point in points]),
            dots=dots,
            band=_band(axis, points) if name in banded else None,
        )
        for name, points in found.items()
    ]


def _dot(axis: _Axis, point: SweepPoint | EpsPoint) -> Point:
    return axis.at(_value(point)), 100 - 100 * point.accuracy


def _band(axis: _Axis, points: Sequence[SweepPoint] | Sequence[EpsPoint]) -> str | None:
    bounded: list[tuple[float, Interval]] = [
        (axis.at(point.value), point.interval) for point in points if isinstance(point, SweepPoint)
    ]
    if not bounded:
        return None
    upper = [(x, 100 - 100 * high) for x, (_, high) in bounded]
    return area([*upper, *((x, 100 - 100 * low) for x, (low, _) in reversed(bounded))])


def _undecided(found: Mapping[str, Sequence[SweepPoint]], axis: _Axis) -> Shape | None:
    if CERTIFIED not in found:
        return None
    lower = {point.value: point for point in found[CERTIFIED]}
    attacked = found.get(WORST_CASE) or next(points for name, points in found.items() if name != CERTIFIED)
    upper = [point for point in attacked if point.value in lower]
    edge = [_dot(axis, point) for point in upper] + [_dot(axis, lower[point.value]) for point in reversed(upper)]
    return Shape("undecided", area(edge))


def _described(found: Mapping[str, Sequence[SweepPoint] | Sequence[EpsPoint]]) -> str:
    """The ends of each line in words."""
    return "; ".join(
        f"{name}: from {notation.percent(points[0].accuracy)} at {_value(points[0]):g} to "
        f"{notation.percent(points[-1].accuracy)} at {_value(points[-1]):g}"
        for name, points in found.items()
    )


def _value(point: SweepPoint | EpsPoint) -> float:
    return point.value if isinstance(point, SweepPoint) else point.eps
