"""An evaluation as CSV: a header, then a line for clean, each attack, the minimum and the worst case."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from advtool.report.rows import rows
from advtool.results import Evaluation

COLUMNS = ("kind", "name", "accuracy", "low", "high", "images", "seconds", "left")


def render(evaluation: Evaluation) -> str:
    """Accuracies are fractions; ``low`` and ``high`` bound the 95 % interval; what does not apply is empty."""
    return lines(
        COLUMNS,
        (
            (row.kind, row.name, row.accuracy, *(row.interval or (None, None)), row.images, row.seconds, row.left)
            for row in rows(evaluation)
        ),
    )


def lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The header and the rows; None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
