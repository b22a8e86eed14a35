"""A learning-rate range test as text, as JSON and as a curve. A view of the document ``advtool.lr-range/1``."""

import json
from pathlib import Path
from typing import Any

from advtool.report import plots


def as_text(document: dict[str, Any]) -> str:
    """The bounds as the options that take them: two of a cyclic learning rate, the upper one of a constant."""
    lines = [f"--learning-rate       {document['learning_rate']:.2g}"]
    if document["schedule"] == "cyclic":
        lines.insert(0, f"--base-learning-rate  {document['base_learning_rate']:.2g}")
    return "\n".join(lines)


def as_json(document: dict[str, Any]) -> str:
    """The document, indented."""
    return json.dumps(document, indent=2, allow_nan=False)


def draw(path: Path, document: dict[str, Any]) -> None:
    """Write the curve to ``path`` (.png, .svg, .pdf): loss over learning rate, the two bounds as lines.

    Raises:
        InputError: another suffix, no matplotlib, or a file that cannot be written.
    """
    drawing = plots.new(6, 4)
    axes = drawing.subplots()
    axes.plot(document["rates"], document["losses"], color="0.8", label="loss of a batch")
    axes.plot(document["rates"], document["smoothed"], color="C0", label="smoothed")
    for bound in ("base_learning_rate", "learning_rate"):
        axes.axvline(
            document[bound], color="C1", linestyle="--", label=f"{bound.replace('_', ' ')} {document[bound]:.2g}"
        )
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(0, 1.5 * document["smoothed"][0]))
    axes.legend()
    plots.save(drawing, path)
