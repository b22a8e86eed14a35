"""Views of a result: nothing is computed here, only shown. A new format is a file and a line in ``FORMATS``."""

from collections.abc import Callable

from advtool.report import csv, json, markdown, table
from advtool.results import Evaluation

FORMATS: dict[str, Callable[[Evaluation], str]] = {
    "table": table.render,
    "json": json.render,
    "csv": csv.render,
    "markdown": markdown.render,
}

__all__ = ["FORMATS"]
