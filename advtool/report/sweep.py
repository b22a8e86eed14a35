"""A sweep: accuracy at each eps or each count of EOT samples, a section for each attack."""

from collections.abc import Iterator

from advtool.report import titles
from advtool.report.evaluation import warning
from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import COUNT, DURATION, INTERVAL, SHARE, WORDS
from advtool.results import (
    CERTIFIED,
    EotCurve,
    EotSweep,
    EpsSweep,
    Finding,
    PageSweep,
    PairedChange,
    PerImageSweep,
    Sweep,
    SweepPoint,
    notation,
)

WORST_CASE = "worst case"
AXES = {"eps": "eps", "eot": "EOT samples"}


def curves(sweep: Sweep) -> dict[str, list[SweepPoint]]:
    """A curve for each attack, the worst case where it differs from a single attack's, and what is certified."""
    attacks = {curve.name: curve.points for curve in sweep.curves}
    worst_case = {} if len(attacks) == 1 else {WORST_CASE: sweep.worst_case}
    return attacks | worst_case | ({} if sweep.certified is None else {CERTIFIED: sweep.certified})


def table(sweep: Sweep) -> Table:
    """The second column is named after what was swept."""
    return Table(
        title=title(sweep),
        columns=(
            Column("attack", "section", WORDS, Reader.TERMINAL),
            Column("attack", "attack", WORDS, Reader.PAGE | Reader.PROGRAM),
            Column(AXES[sweep.over], sweep.over, Unit(_value)),
            Column("accuracy", "accuracy", SHARE),
            Column("95 % interval", "interval", INTERVAL),
            Column("", "images", COUNT, Reader.PROGRAM),
            Column("time", "seconds", DURATION, Reader.TERMINAL | Reader.PROGRAM),
            Column("", "accuracy_on_examples", SHARE, Reader.PROGRAM),
        ),
        rows=tuple(_rows(sweep)),
        notes=tuple(_notes(sweep)),
    )


def title(sweep: Sweep | PerImageSweep) -> str:
    """What was evaluated, on what, and what stayed the same at every point."""
    if isinstance(sweep, EotSweep):
        fixed = f" eps {notation.eps(sweep.eps)}, {sweep.votes} votes"
    else:
        fixed = titles.averaging(sweep.eot, sweep.votes)
    clean = notation.percent(sweep.clean.accuracy)
    return f"{titles.subject(sweep)}, {sweep.norm}{fixed}, seed {sweep.seed}, clean {clean}"


def place(sweep: Sweep, finding: Finding) -> str:
    """The value at which a warning of the sweep was found, as ``eps 0.1``."""
    return f"{AXES[sweep.over]} {_value((finding.model_extra or {})['value'])}"


def lacks(sweep: PageSweep) -> Iterator[str]:
    """Which points of the sweep are not finished, if any, and how to go on."""
    if sweep.missing:
        values = ", ".join(map(_value, sweep.missing))
        yield f"Not finished: {AXES[sweep.result.over]} {values}. The command that began the sweep goes on with it"


def _rows(sweep: Sweep) -> Iterator[Row]:
    """A terminal names the attack in the first line of its section alone."""
    for name, points in curves(sweep).items():
        for point in points:
            named = {"section": name if point is points[0] else "", "attack": name}
            yield Row({**vars(point), **named, sweep.over: point.value, "images": point.total}, name, name)


def _value(swept: float) -> str:
    return str(swept) if isinstance(swept, int) else notation.eps(swept)


def _notes(sweep: Sweep) -> Iterator[str]:
    if isinstance(sweep, EpsSweep):
        yield from (_rise(curve.name, curve.rise) for curve in sweep.curves if curve.rise is not None)
    else:
        yield from map(_proposal, sweep.curves)
    yield from (f"{place(sweep, finding)}: {warning(finding)}" for finding in sweep.warnings)


def _rise(name: str, rise: PairedChange) -> str:
    return (
        f"{name}: accuracy rises by {notation.points(rise.difference)} points ({_bounds(rise)}) from eps "
        f"{_value(rise.start)} to {_value(rise.end)}. The larger ball holds the smaller one, so this attack misses "
        "examples that exist: its curve is no measure of robustness there"
    )


def _proposal(curve: EotCurve) -> str:
    tolerance = notation.points(curve.tolerance)
    if not curve.falls:
        return f"{curve.name}: one count of EOT samples alone does not tell how many are enough"
    if curve.enough is None:
        last = curve.falls[-1]
        return (
            f"{curve.name}: take {last.end} EOT samples or more. No smaller count is shown to come within "
            f"{tolerance} points of the larger ones: the step from {last.start} to {last.end} may be "
            f"{_bounds(last)} points; more images tell more"
        )
    fall = next(fall for fall in curve.falls if fall.start == curve.enough)
    return (
        f"{curve.name}: {curve.enough} EOT samples are enough. With more, up to {curve.points[-1].value}, "
        f"accuracy falls by less than {tolerance} points (at {fall.end} it changes by "
        f"{notation.points(fall.difference)}, {_bounds(fall)})"
    )


def _bounds(change: PairedChange) -> str:
    return f"paired 95 %: {notation.points_interval(change.interval)}"
