"""What every plot shares: a figure without a display, and its way into a file."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from advtool.errors import InputError
from advtool.files import write_atomically

TYPES = ("png", "svg", "pdf")


def check(path: Path) -> None:
    """See before any work whether a plot can be drawn, and ``path`` be its name.

    Raises:
        InputError: another suffix than ``TYPES``, or no matplotlib.
    """
    _type_of(path)
    _figure_class()


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


def save(drawing: Any, path: Path) -> None:
    """Write a figure to ``path``, whose suffix says the type of the file; an existing file is replaced.

    Raises:
        InputError: another suffix than ``TYPES``, or a file that cannot be written.
    """
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
