"""Two runs compared: each accuracy of both, the difference, its interval and the p-value of the paired test."""

from advtool.report import titles
from advtool.report.evaluation import rows
from advtool.report.table import Column, Reader, Table
from advtool.report.units import COUNT, DIFFERENCE, DIFFERENCE_INTERVAL, P_VALUE, SHARE, WORDS
from advtool.results import Comparison

COLUMNS = (
    Column("", "kind", WORDS, Reader.PROGRAM),
    Column("attack", "name", WORDS),
    Column("A", "accuracy_a", SHARE),
    Column("B", "accuracy_b", SHARE),
    Column("A - B", "difference", DIFFERENCE),
    Column("95 % interval", "interval", DIFFERENCE_INTERVAL),
    Column("", "only_a", COUNT, Reader.PROGRAM),
    Column("", "only_b", COUNT, Reader.PROGRAM),
    Column("McNemar p", "p_value", P_VALUE),
    Column("", "images", COUNT, Reader.PROGRAM),
)


def table(comparison: Comparison) -> Table:
    """Differences are A minus B."""
    a, b = (f"{titles.heading(run)} ({run.run})" for run in (comparison.a, comparison.b))
    lowest = comparison.effective_robustness
    attacks = "; ".join(dict.fromkeys((lowest.attack_a, lowest.attack_b))) if lowest else None
    return Table(
        title=f"two runs on the same {comparison.images} images, differences in percentage points",
        columns=COLUMNS,
        rows=tuple(rows(comparison, attacks, images=comparison.images)),
        notes=(f"A: {a}", f"B: {b}", *comparison.notes),
    )
