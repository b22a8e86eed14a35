"""What every plot shares: a figure without a display, a curve with its band, and the way into a file."""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from advtool.errors import InputError
from advtool.files import check_writable, write_atomically
from advtool.results import Interval

TYPES = ("png", "svg", "pdf")


def check(path: Path) -> None:
    """See before any work whether a plot can be drawn and written.

    Raises:
        InputError: another suffix than ``TYPES``, no matplotlib, or a file that cannot be written.
    """
    _type_of(path)
    _figure_class()
    check_writable(path, "--plot")


def available() -> bool:
    """Whether a plot can be drawn here."""
    return find_spec("matplotlib") is not None


def new(width: float, height: float) -> Any:
    """An empty matplotlib ``Figure``, its sizes in inches.

    Raises:
        InputError: no matplotlib.
    """
    # Not through pyplot: a figure of its own never looks for a display.
    return _figure_class()(figsize=(width, height), layout="constrained")


def curve(axes: Any, x: Sequence[Any], y: Sequence[float], intervals: Sequence[Interval | None], **style: Any) -> None:
    """A line through all points; where a point has an interval, a band shows it."""
    (line,) = axes.plot(x, y, marker="o", markersize=3, **style)
    bounded = [(place, *interval) for place, interval in zip(x, intervals, strict=True) if interval]
    if bounded:
        axes.fill_between(*zip(*bounded, strict=True), color=line.get_color(), alpha=0.15, linewidth=0)


def save(drawing: Any, *paths: Path) -> None:
    """Write a figure to each path, whose suffix says the type of the file; existing files are replaced.

    Raises:
        InputError: another suffix than ``TYPES``, or a file that cannot be written.
    """
    for path in paths:
        content = io.BytesIO()
        drawing.savefig(content, format=_type_of(path), dpi=150)
        write_atomically(path, content.getvalue())


def _type_of(path: Path) -> str:
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in TYPES:
        raise InputError(f"--plot '{path}': the name must end in .png, .svg or .pdf")
    return suffix


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise InputError("plots need matplotlib: pip install 'advtool[plots]'") from None
    return Figure
