"""A table as CSV: raw values under the machine names of the columns; what does not apply is empty."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from advtool.report.table import Reader, Table


def render(table: Table) -> str:
    """A header and a line for each row; of a table of facts alone, a line for each fact."""
    columns = table.columns_for(Reader.PROGRAM)
    if not columns:
        return _lines([("fact", "value"), *table.facts])
    header = [name for column in columns for name in column.data_names()]
    return _lines([header, *([value for column in columns for value in column.data(row)] for row in table.rows)])


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
