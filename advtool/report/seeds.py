"""An evaluation with several seeds: the mean of each accuracy and how far the seeds spread it."""

from collections.abc import Iterator

from advtool.report import titles
from advtool.report.evaluation import rows, warning
from advtool.report.table import Column, Reader, Table, Unit
from advtool.report.units import COUNT, SHARE, WORDS
from advtool.results import Finding, SeedsEvaluation

DEVIATION = Unit(lambda deviation: f"{100 * deviation:.2f}")
"""A standard deviation of shares, in percentage points: small, so it has two digits."""
COLUMNS = (
    Column("", "kind", WORDS, Reader.PROGRAM),
    Column("attack", "name", WORDS),
    Column("mean", "mean", SHARE),
    Column("std. deviation", "standard_deviation", DEVIATION),
    Column("lowest", "lowest", SHARE),
    Column("highest", "highest", SHARE),
    Column("", "seeds", COUNT, Reader.PROGRAM),
)


def table(result: SeedsEvaluation) -> Table:
    """``seeds`` is their number."""
    return Table(
        title=titles.heading(result.evaluations[0], result.seeds),
        columns=COLUMNS,
        rows=tuple(rows(result.summary, None, seeds=len(result.seeds))),
        notes=tuple(_warnings(result)),
    )


def _warnings(result: SeedsEvaluation) -> Iterator[str]:
    """Each warning once, with the seeds that met it."""
    met: dict[str, tuple[Finding, list[int]]] = {}
    for evaluation in result.evaluations:
        for finding in evaluation.warnings:
            met.setdefault(finding.code, (finding, []))[1].append(evaluation.seed)
    for finding, seeds in met.values():
        yield f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}: {warning(finding)}"
