"""A learning-rate range test as the options that take its bounds, and as a curve."""

from typing import Any

from advtool.report import plots
from advtool.report.table import Table
from advtool.results import RangeTest


def table(result: RangeTest) -> Table:
    """Two options for a cyclic learning rate, the upper bound alone for a constant one."""
    bounds = {"--base-learning-rate": result.base_learning_rate} if result.schedule == "cyclic" else {}
    bounds["--learning-rate"] = result.learning_rate
    return Table(facts=tuple((option, f"{bound:.2g}") for option, bound in bounds.items()))


def figure(result: RangeTest) -> Any:
    """The plot as a matplotlib ``Figure``: loss over learning rate, the two bounds as lines.

    Raises:
        InputError: no matplotlib.
    """
    drawing = plots.new(6, 4)
    axes = drawing.subplots()
    axes.plot(result.rates, result.losses, color="0.8", label="loss of a batch")
    axes.plot(result.rates, result.smoothed, color="C0", label="smoothed")
    for name, bound in (("base learning rate", result.base_learning_rate), ("learning rate", result.learning_rate)):
        axes.axvline(bound, color="C1", linestyle="--", label=f"{name} {bound:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(0, 1.5 * result.smoothed[0]))
    axes.legend()
    return drawing
