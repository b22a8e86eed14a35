"""Several runs side by side: a row a run, and how far each lies from the first."""

from collections.abc import Iterator

from advtool.report import titles
from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import COUNT, DIFFERENCE, DIFFERENCE_INTERVAL, P_VALUE, SHARE, WORDS
from advtool.results import ComparedRun, Comparison, SideBySide

MOST_ATTACKS = 4
"""A terminal has room for the accuracies of so many attacks."""


def table(result: SideBySide) -> Table:
    """Differences are those of the worst case, from run 1."""
    attacks = _attacks(result)
    reader = Reader.ALL if len(attacks) <= MOST_ATTACKS else Reader.PAGE | Reader.PROGRAM
    columns = (
        Column("run", "run", COUNT),
        Column("", "folder", WORDS, Reader.PROGRAM),
        Column("clean", "clean", SHARE),
        *(Column(name, name, SHARE, reader) for name in attacks),
        Column("worst case", "worst_case", SHARE),
        Column("from 1", "difference", DIFFERENCE),
        Column("", "difference_interval", DIFFERENCE_INTERVAL, Reader.PROGRAM),
        Column("McNemar p", "p_value", P_VALUE),
        Column("", "images", COUNT, Reader.PROGRAM),
    )
    first, *others = result.comparisons[0].a, *(each.b for each in result.comparisons)
    rows = [_row(1, "a", result.comparisons[0], attacks)]
    rows += [_row(number, "b", each, attacks) for number, each in enumerate(result.comparisons, start=2)]
    legend = (f"{number}: {titles.heading(run)} ({run.run})" for number, run in enumerate((first, *others), start=1))
    return Table(
        title=f"{len(rows)} runs on the same images; differences are those of the worst case, in percentage points",
        columns=columns,
        rows=tuple(rows),
        notes=(*legend, *_notes(result)),
    )


def _attacks(result: SideBySide) -> list[str]:
    """The attacks that saw every image in all runs."""
    first, *others = ([attack.name for attack in each.attacks] for each in result.comparisons)
    return [name for name in first if all(name in names for names in others)]


def _row(number: int, side: str, comparison: Comparison, attacks: list[str]) -> Row:
    under = {attack.name: attack for attack in comparison.attacks}
    figures = {"clean": comparison.clean, "worst_case": comparison.worst_case} | {name: under[name] for name in attacks}
    values = {name: getattr(figure, f"accuracy_{side}") for name, figure in figures.items()}
    if side == "b":
        worst = comparison.worst_case
        low, high = worst.interval
        values |= {"difference": -worst.difference, "difference_interval": (-high, -low), "p_value": worst.p_value}
    run: ComparedRun = getattr(comparison, side)
    return Row({"run": number, "folder": run.run, "images": comparison.images} | values)


def _notes(result: SideBySide) -> Iterator[str]:
    """The notes of the comparisons, which call their runs A and B."""
    for number, comparison in enumerate(result.comparisons, start=2):
        for note in comparison.notes:
            yield f"run 1 as A, run {number} as B: {note}"
