"""An evaluation as CSV: a header, then a line for clean, each attack, the minimum and the worst case."""

import csv
import io

from advtool.report.rows import rows
from advtool.results import Evaluation

COLUMNS = ("kind", "name", "accuracy", "low", "high", "images", "seconds", "left")


def render(evaluation: Evaluation) -> str:
    """Accuracies are fractions; ``low`` and ``high`` bound the 95 % interval; what does not apply is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows(evaluation):
        low, high = row.interval or (None, None)
        writer.writerow((row.kind, row.name, row.accuracy, low, high, row.images, row.seconds, row.left))
    return text.getvalue()
