"""Two runs compared: each accuracy of both, the difference, its interval and the p-value of the paired test."""

from collections.abc import Iterator

from advtool.report import titles
from advtool.report.evaluation import line
from advtool.report.table import Column, Reader, Row, Table
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
    return Table(
        title=f"two runs on the same {comparison.images} images, differences in percentage points",
        columns=COLUMNS,
        rows=tuple(_rows(comparison)),
        notes=(f"A: {a}", f"B: {b}", *comparison.notes),
    )


def _rows(comparison: Comparison) -> Iterator[Row]:
    images, lowest = comparison.images, comparison.effective_robustness
    yield line("clean", "clean", comparison.clean, images=images)
    for attack in comparison.attacks:
        yield line("attack", attack.name, attack, images=images)
    if lowest is not None:
        attacks = dict.fromkeys((lowest.attack_a, lowest.attack_b))
        yield line("minimum", f"Min ({'; '.join(attacks)})", lowest, images=images)
    yield line("worst case", "worst case", comparison.worst_case, images=images)
