"""A table as CSV: raw values under the machine names of the columns; what does not apply is empty."""

import csv
import io

from advtool.report.table import Table


def render(table: Table) -> str:
    """A header and a line for each row; of a table of facts alone, a line for each fact."""
    names, rows = table.data()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue()
