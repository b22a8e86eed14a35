"""The smallest eps of each image as a table: its quantiles, and the robust accuracy that follows from it."""

from collections.abc import Iterator

from advtool.report.evaluation import warning
from advtool.report.sweep import title
from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import COUNT, INTERVAL, SHARE, WORDS
from advtool.results import CERTIFIED, EpsQuantile, NearestBy, PerImageSweep, notation
from advtool.results.sweep import MEDIAN


def table(sweep: PerImageSweep) -> Table:
    """Two sections: at which eps a share of the images is broken, and the accuracy at given eps."""
    bounds = Unit(lambda interval: _between(interval, sweep.largest), parts=("low", "high"))
    return Table(
        title=title(sweep),
        columns=(
            Column("", "kind", WORDS),
            Column("eps", "eps", Unit(radius, blank=f"> {radius(sweep.largest)}")),
            Column("accuracy", "accuracy", SHARE),
            Column("95 % interval", "shown", Unit(), Reader.PEOPLE),
            Column("", "eps_interval", bounds, Reader.PROGRAM),
            Column("", "interval", INTERVAL, Reader.PROGRAM),
            Column("", "images", COUNT, Reader.PROGRAM),
        ),
        rows=tuple(_rows(sweep)),
        notes=tuple(_notes(sweep)),
    )


def radius(eps: float) -> str:
    """A distance, to four digits unless it is a whole number of 255ths."""
    written = notation.eps(eps)
    return written if "/" in written else notation.eps(float(f"{eps:.4g}"))


def _rows(sweep: PerImageSweep) -> Iterator[Row]:
    for each in sweep.quantiles:
        named = "median" if each.share == MEDIAN else f"{100 * each.share:g} % broken"
        yield Row(
            {
                "kind": named,
                "eps": each.eps,
                "shown": f"eps {_between(each.interval, sweep.largest)}",
                "eps_interval": each.interval,
                "images": len(sweep.per_image),
            },
            "minimum" if each.share == MEDIAN else "",
            "quantiles",
        )
    curves = {"robust accuracy": sweep.worst_case, CERTIFIED: sweep.certified or []}
    for kind, point in ((kind, point) for kind, points in curves.items() for point in points):
        yield Row(
            {
                "kind": kind,
                "eps": point.value,
                "accuracy": point.accuracy,
                "shown": notation.percent_interval(point.interval),
                "interval": point.interval,
                "images": point.total,
            },
            "",
            kind,
        )


def _between(interval: tuple[float | None, float | None], largest: float) -> str:
    low, high = (f"> {radius(largest)}" if end is None else radius(end) for end in interval)
    return f"{low} to {high}"


def _notes(sweep: PerImageSweep) -> Iterator[str]:
    images = len(sweep.per_image)
    parts = [f"{sweep.broken} of {images} images {'has' if sweep.broken == 1 else 'have'} an adversarial example"]
    if sweep.misclassified:
        verbs = ("is", "has") if sweep.misclassified == 1 else ("are", "have")
        parts.append(f"{sweep.misclassified} {verbs[0]} misclassified and {verbs[1]} eps 0")
    if sweep.unbroken:
        parts.append(f"for {sweep.unbroken} none was found up to eps {radius(sweep.largest)}")
    yield f"{'; '.join(parts)}. Each eps is an upper bound of the true one; --format json lists every image"
    if len(sweep.attacks) > 1:
        yield from (_contribution(attack, sweep) for attack in sweep.attacks)
    for finding in sweep.warnings:
        yield f"eps {radius(sweep.largest)}: {warning(finding)}"


def _contribution(attack: NearestBy, sweep: PerImageSweep) -> str:
    return f"{attack.name}: nearest for {attack.nearest} images, median {_median(attack.median, sweep.largest)} alone"


def _median(median: EpsQuantile, largest: float) -> str:
    return f"> {radius(largest)}" if median.eps is None else radius(median.eps)
