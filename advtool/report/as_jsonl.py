"""A result as lines, each a JSON object: of an evaluation a line for each image, of anything else one for each row."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from advtool.report.table import Table


@runtime_checkable
class Lines(Protocol):
    """A result that has more to tell than the rows of its table, such as the outcome of every image."""

    def to_lines(self) -> Iterable[Mapping[str, Any]]:
        """The lines as plain Python data."""


def render(lines: Iterable[Mapping[str, Any]]) -> str:
    """A line for each object."""
    return "".join(json.dumps(line, allow_nan=False, default=str) + "\n" for line in lines)


def rows(table: Table) -> Iterable[Mapping[str, Any]]:
    """The rows of a table, with the names and the raw values that CSV has."""
    names, values = table.data()
    return (dict(zip(names, row, strict=True)) for row in values)
