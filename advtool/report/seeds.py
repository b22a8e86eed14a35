"""An evaluation with several seeds: the mean of each accuracy and how far the seeds spread it."""

from collections.abc import Iterator

from advtool.report import titles
from advtool.report.evaluation import rows, warning
from advtool.report.table import Column, Reader, Table, Unit
from advtool.report.units import COUNT, SHARE, WORDS
from advtool.results import Finding, SeedsEvaluation, notation

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
    """Each kind and code once, in the words of the first seed that met it, with all seeds that did."""
    met: dict[tuple[str, str], dict[int, list[Finding]]] = {}
    for evaluation in result.evaluations:
        for finding in evaluation.warnings:
            met.setdefault((finding.kind, finding.code), {}).setdefault(evaluation.seed, []).append(finding)
    for by_seed in met.values():
        seeds, first = list(by_seed), next(iter(by_seed.values()))
        yield from (f"{notation.seeds(seeds)}: {warning(each)}" for each in first)
