"""A reproduced figure as a plot: bars and curves, the paper's stated values grey beside ours; images."""

from collections.abc import Sequence
from math import ceil
from typing import Any

from advtool.report import plots
from advtool.results import Panel, Point, Reproduced, Series

SUFFIXES = (".svg", ".png")
ACROSS = 3
"""Panels in a row, or fewer where there are not as many."""
SHARES = [step / 5 for step in range(6)]
ROOM = {"bars": 0.35, "curves": 0.0}
"""Above the bars, which reach everywhere, for the legend."""


def figure(result: Reproduced) -> Any:
    """The plot as a matplotlib ``Figure``: a panel for each of the result's.

    Raises:
        InputError: no matplotlib.
    """
    across = min(ACROSS, len(result.panels))
    down = ceil(len(result.panels) / across)
    drawing = plots.new(4.2 * across, 3.4 * down)
    axes = drawing.subplots(down, across, squeeze=False).flatten()
    for panel, place in zip(result.panels, axes, strict=False):
        {"bars": _bars, "curves": _curves, "image": _image}[panel.kind](place, panel)
        place.set_title(panel.title, fontsize="small")
        if panel.kind != "image":
            place.set(xlabel=panel.x_label, ylabel=panel.y_label)
            if panel.share:
                place.set(ylim=(-0.02, 1.02 + ROOM[panel.kind]), yticks=SHARES)
    for place in axes[len(result.panels) :]:
        place.set_axis_off()
    drawing.suptitle(f"{result.title} ({result.provenance.scale})", fontsize="medium")
    return drawing


def _bars(axes: Any, panel: Panel) -> None:
    """One group a name, one bar a series."""
    names = list(dict.fromkeys(point.x for series in panel.series for point in series.points))
    drawn = [series for series in panel.series if series.points]
    width = 0.8 / max(1, len(drawn))
    for number, series in enumerate(drawn):
        places = [names.index(point.x) + (number - (len(drawn) - 1) / 2) * width for point in series.points]
        heights = [point.y for point in series.points]
        axes.bar(places, heights, width, label=series.name, yerr=_errors(series.points), **_style(series))
    axes.set_xticks(range(len(names)), list(map(str, names)), rotation=25, ha="right", fontsize="x-small")
    axes.legend(fontsize="x-small", loc="upper center", ncols=2)


def _curves(axes: Any, panel: Panel) -> None:
    for series in panel.series:
        x, y = [point.x for point in series.points], [point.y for point in series.points]
        intervals = [point.interval for point in series.points]
        style = _style(series) | {"linestyle": "--" if series.paper else "-"}
        plots.curve(axes, x, y, intervals, label=series.name, **style)
    axes.legend(fontsize="x-small")


def _image(axes: Any, panel: Panel) -> None:
    """Pixels in grey or colour; anything else in grey, on its own scale, with a bar that tells it."""
    channels = panel.image or [[[]]]
    shown = (
        channels[0] if len(channels) == 1 else [list(zip(*rows, strict=True)) for rows in zip(*channels, strict=True)]
    )
    limits = {"vmin": 0, "vmax": 1} if panel.share else {}
    drawn = axes.imshow(shown, cmap="gray", **limits)
    axes.set(xticks=[], yticks=[])
    if not panel.share:
        axes.figure.colorbar(drawn, ax=axes, shrink=0.8)


def _style(series: Series) -> dict[str, str]:
    return {"color": "0.7"} if series.paper else {}


def _errors(points: Sequence[Point]) -> list[list[float]] | None:
    """Below and above each bar; None where a bar has no interval."""
    intervals = [(point.y, point.interval) for point in points if point.interval]
    if len(intervals) < len(points):
        return None
    return [[y - low for y, (low, _) in intervals], [high - y for y, (_, high) in intervals]]
