"""An evaluation with several seeds, as a table for people, as CSV and as Markdown."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from advtool.report import csv, markdown, table
from advtool.report.rows import Kind, heading, percent
from advtool.results import Finding, SeedsEvaluation, Spread

COLUMNS = ("attack", "mean", "std. deviation", "lowest", "highest")
CSV_COLUMNS = ("kind", "name", "mean", "standard_deviation", "lowest", "highest", "seeds")


def as_text(result: SeedsEvaluation) -> str:
    """The table as plain text, 80 columns wide."""
    return table.plain(renderable(result))


def renderable(result: SeedsEvaluation) -> RenderableType:
    """The table for a Rich console, and the warnings below it."""
    lines = [(kind, _cells(name, spread)) for kind, name, spread in _lines(result)]
    return Group(table.grid(_title(result), COLUMNS, lines), *(Text(note) for note in _notes(result)))


def as_csv(result: SeedsEvaluation) -> str:
    """Accuracies are fractions; ``seeds`` is their number."""
    return csv.lines(
        CSV_COLUMNS,
        (
            (kind, name, spread.mean, spread.standard_deviation, spread.lowest, spread.highest, len(result.seeds))
            for kind, name, spread in _lines(result)
        ),
    )


def as_markdown(result: SeedsEvaluation) -> str:
    """Title, table, warnings."""
    lines = (_cells(name, spread) for _, name, spread in _lines(result))
    return markdown.page(_title(result), COLUMNS, lines, _notes(result))


def _lines(result: SeedsEvaluation) -> Iterator[tuple[Kind, str, Spread]]:
    summary = result.summary
    yield "clean", "clean", summary.clean
    for attack in summary.attacks:
        yield "attack", attack.name, attack
    if summary.effective_robustness is not None:
        yield "minimum", "Min", summary.effective_robustness
    yield "worst case", "worst case", summary.worst_case


def _cells(name: str, spread: Spread) -> tuple[str, ...]:
    deviation = f"{100 * spread.standard_deviation:.2f}"
    return name, percent(spread.mean), deviation, percent(spread.lowest), percent(spread.highest)


def _title(result: SeedsEvaluation) -> str:
    return heading(result.evaluations[0], result.seeds)


def _notes(result: SeedsEvaluation) -> Iterator[str]:
    """Each warning once, with the seeds that met it."""
    met: dict[str, tuple[Finding, list[int]]] = {}
    for evaluation in result.evaluations:
        for finding in evaluation.warnings:
            met.setdefault(finding.code, (finding, []))[1].append(evaluation.seed)
    for finding, seeds in met.values():
        yield f"{_listed(seeds)}: {finding.kind} [{finding.code}]: {finding.message}"


def _listed(seeds: list[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
