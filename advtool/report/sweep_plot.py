"""A sweep as a plot: accuracy over eps or over EOT samples, its 95 % interval as a band."""

from typing import Any

from advtool.report import plots
from advtool.report.sweep import AXES, WORST_CASE, curves, title
from advtool.results import Sweep


def figure(sweep: Sweep) -> Any:
    """The plot as a matplotlib ``Figure``: a line for each attack, one for the worst case.

    Raises:
        InputError: no matplotlib.
    """
    drawing = plots.new(6.4, 4.4)
    axes = drawing.subplots()
    for name, points in curves(sweep).items():
        x, y, intervals = zip(*((point.value, point.accuracy, point.interval) for point in points), strict=True)
        style = {"color": "black", "linestyle": "--"} if name == WORST_CASE else {}
        plots.curve(axes, x, y, intervals, label=name, **style)
    axes.axhline(sweep.clean.accuracy, color="0.6", linestyle=":", label="clean")
    if sweep.over == "eot":
        _count_axis(axes, [point.value for point in sweep.worst_case])
    axes.set(xlabel=AXES[sweep.over], ylabel="robust accuracy", ylim=(-0.02, 1.02))
    axes.set_title(title(sweep), fontsize="small", wrap=True)
    axes.legend()
    return drawing


def _count_axis(axes: Any, counts: list[float]) -> None:
    """Logarithmic, since the first draws change most; marked at the counts themselves."""
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
