"""A table as CSV: raw values under the machine names of the columns; what does not apply is empty.

A text that a spreadsheet would take for a formula, such as the name ``=1+1`` of a class, gets an apostrophe in front.
"""

import csv
import io
from typing import Any

from advtool.printable import printable
from advtool.report.table import Table

FORMULA = ("=", "+", "-", "@")
"""With these a formula begins."""


def render(table: Table) -> str:
    """A header and a line for each row; of a table of facts alone, a line for each fact."""
    names, rows = table.data()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *([_cell(value) for value in row] for row in rows)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value, keep="\n")
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
