"""A sweep as a plot: accuracy over eps or over EOT samples, its 95 % interval as a band."""

from collections.abc import Sequence
from typing import Any

from advtool.report import plots
from advtool.report.sweep import AXES, WORST_CASE, curves, title
from advtool.results import CERTIFIED, Sweep, SweepPoint

STYLES = {WORST_CASE: {"color": "black", "linestyle": "--"}, CERTIFIED: {"color": "black"}}
"""How the lines are drawn that no single attack gives."""
UNDECIDED = {"label": "undecided", "facecolor": "none", "edgecolor": "0.75", "hatch": "//", "linewidth": 0}


def figure(sweep: Sweep) -> Any:
    """The plot as a matplotlib ``Figure``: a line for each attack, for the worst case and for what is certified.

    The robust accuracy lies between these two, and what is between them is shaded.

    Raises:
        InputError: no matplotlib.
    """
    drawing = plots.new(6.4, 4.4)
    axes = drawing.subplots()
    for name, points in curves(sweep).items():
        x, y, intervals = zip(*((point.value, point.accuracy, point.interval) for point in points), strict=True)
        plots.curve(axes, x, y, intervals, label=name, **STYLES.get(name, {}))
    if sweep.certified is not None:
        _shade_undecided(axes, sweep.certified, sweep.worst_case)
    axes.axhline(sweep.clean.accuracy, color="0.6", linestyle=":", label="clean")
    if sweep.over == "eot":
        _count_axis(axes, [point.value for point in sweep.worst_case])
    axes.set(xlabel=AXES[sweep.over], ylabel="robust accuracy", ylim=(-0.02, 1.02))
    axes.set_title(title(sweep), fontsize="small", wrap=True, parse_math=False)
    axes.legend()
    return drawing


def _shade_undecided(axes: Any, certified: Sequence[SweepPoint], worst_case: Sequence[SweepPoint]) -> None:
    """Shade what is neither broken nor certified, from the lowest to the highest value that certifies."""
    lower = {point.value: point.accuracy for point in certified}
    upper = {point.value: point.accuracy for point in worst_case if point.value in lower}
    axes.fill_between([*upper], [lower[value] for value in upper], [*upper.values()], **UNDECIDED)


def _count_axis(axes: Any, counts: list[float]) -> None:
    """Logarithmic, since the first draws change most; marked at the counts themselves."""
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
