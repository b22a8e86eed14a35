"""A learning-rate range test as the options that take its bounds, and as a curve."""

from typing import Any

from advtool.report import plots
from advtool.report.as_json import Document
from advtool.report.table import Table


def table(result: Document) -> Table:
    """Two options for a cyclic learning rate, the upper bound alone for a constant one."""
    document = result.to_dict()
    bounds = ["base_learning_rate"] if document["schedule"] == "cyclic" else []
    bounds.append("learning_rate")
    return Table(facts=tuple((f"--{bound.replace('_', '-')}", f"{document[bound]:.2g}") for bound in bounds))


def figure(result: Document) -> Any:
    """The plot as a matplotlib ``Figure``: loss over learning rate, the two bounds as lines.

    Raises:
        InputError: no matplotlib.
    """
    document = result.to_dict()
    drawing = plots.new(6, 4)
    axes = drawing.subplots()
    axes.plot(document["rates"], document["losses"], color="0.8", label="loss of a batch")
    axes.plot(document["rates"], document["smoothed"], color="C0", label="smoothed")
    for bound in ("base_learning_rate", "learning_rate"):
        words = f"{bound.replace('_', ' ')} {document[bound]:.2g}"
        axes.axvline(document[bound], color="C1", linestyle="--", label=words)
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(0, 1.5 * document["smoothed"][0]))
    axes.legend()
    return drawing
