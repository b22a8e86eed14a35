"""Several runs side by side, and the first compared with each of the others."""

from collections.abc import Sequence

from advtool.report import titles, to_table
from advtool.report.table import Column, Row, Table, Unit
from advtool.report.units import COUNT, INTERVAL, SHARE, WORDS
from advtool.results import Comparison, PagePair, PageRun, notation

OVERVIEW = (
    Column("run", "run", WORDS),
    Column("model", "model", WORDS),
    Column("eps", "eps", Unit(notation.eps)),
    Column("clean", "clean", SHARE),
    Column("Min", "minimum", SHARE),
    Column("worst case", "worst_case", SHARE),
    Column("95 % interval", "interval", INTERVAL),
    Column("certified", "certified", SHARE),
    Column("warnings", "warnings", COUNT),
)


def overview(runs: Sequence[PageRun]) -> Table:
    """A row for each run."""
    return Table(title="The runs side by side", columns=OVERVIEW, rows=tuple(map(_row, runs)))


def _row(run: PageRun) -> Row:
    result = run.result
    lowest, certified = result.effective_robustness, result.certified
    values = {
        "run": run.name,
        "model": titles.name(result),
        "eps": result.threat_model.eps,
        "clean": result.clean.accuracy,
        "minimum": None if lowest is None else lowest.accuracy,
        "worst_case": result.worst_case.accuracy,
        "interval": result.worst_case.interval,
        "certified": None if certified is None else certified.accuracy,
        "warnings": len(result.warnings),
    }
    return Row(values)


class PairView:
    """Two runs as the page shows them.

    Args:
        pair: the runs, and their comparison.
        number: of the pair on the page, from 1.
    """

    def __init__(self, pair: PagePair, number: int) -> None:
        self.id, self.a, self.b = f"pair-{number}", pair.a, pair.b
        self.table = to_table(pair.result) if isinstance(pair.result, Comparison) else None
        self.refusal = None if isinstance(pair.result, Comparison) else pair.result
