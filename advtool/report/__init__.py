"""Views of results: nothing is computed here, only shown. A new format is a file and a line in ``FORMATS``."""

from collections.abc import Callable

from advtool.report import csv, json, markdown, sweep, table
from advtool.results import Evaluation, Sweep

FORMATS: dict[str, Callable[[Evaluation], str]] = {
    "table": table.render,
    "json": json.render,
    "csv": csv.render,
    "markdown": markdown.render,
}

SWEEP_FORMATS: dict[str, Callable[[Sweep], str]] = {
    "table": sweep.as_text,
    "json": json.render,
    "csv": sweep.as_csv,
    "markdown": sweep.as_markdown,
}

__all__ = ["FORMATS", "SWEEP_FORMATS"]
