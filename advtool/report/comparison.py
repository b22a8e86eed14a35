"""Two runs compared, as a table for people, as CSV and as Markdown."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from advtool.report import csv, markdown, table
from advtool.report.rows import Kind, heading, percent
from advtool.results import ComparedRun, Comparison, PairedAccuracy

COLUMNS = ("attack", "A", "B", "A - B", "95 % interval", "McNemar p")
CSV_COLUMNS = (
    *("kind", "name", "accuracy_a", "accuracy_b", "difference", "low", "high"),
    *("only_a", "only_b", "p_value", "images"),
)


def as_text(comparison: Comparison) -> str:
    """The table as plain text, 80 columns wide."""
    return table.plain(renderable(comparison))


def renderable(comparison: Comparison) -> RenderableType:
    """The table for a Rich console, and the notes below it."""
    lines = [(kind, _cells(name, paired)) for kind, name, paired in _lines(comparison)]
    grid = table.grid(_title(comparison), COLUMNS, lines)
    return Group(grid, *(Text(note) for note in _notes(comparison)))


def as_csv(comparison: Comparison) -> str:
    """Accuracies and differences are fractions; ``low`` and ``high`` bound the 95 % interval of the difference."""
    return csv.lines(
        CSV_COLUMNS,
        (
            (
                *(kind, name, paired.accuracy_a, paired.accuracy_b, paired.difference, *paired.interval),
                *(paired.only_a, paired.only_b, paired.p_value, comparison.images),
            )
            for kind, name, paired in _lines(comparison)
        ),
    )


def as_markdown(comparison: Comparison) -> str:
    """Title, table, notes."""
    lines = (_cells(name, paired) for _, name, paired in _lines(comparison))
    return markdown.page(_title(comparison), COLUMNS, lines, _notes(comparison))


def _lines(comparison: Comparison) -> Iterator[tuple[Kind, str, PairedAccuracy]]:
    yield "clean", "clean", comparison.clean
    for attack in comparison.attacks:
        yield "attack", attack.name, attack
    lowest = comparison.effective_robustness
    if lowest is not None:
        same = lowest.attack_a == lowest.attack_b
        yield "minimum", f"Min ({lowest.attack_a if same else f'{lowest.attack_a}; {lowest.attack_b}'})", lowest
    yield "worst case", "worst case", comparison.worst_case


def _cells(name: str, paired: PairedAccuracy) -> tuple[str, ...]:
    low, high = paired.interval
    return (
        name,
        percent(paired.accuracy_a),
        percent(paired.accuracy_b),
        _points(paired.difference),
        f"{_points(low)} to {_points(high)}",
        "< 0.001" if paired.p_value < 0.001 else f"{paired.p_value:.3f}",
    )


def _points(fraction: float) -> str:
    """A difference in percentage points, ``+3.2``."""
    points = f"{100 * fraction:+.1f}"
    return "0.0" if points in ("+0.0", "-0.0") else points


def _title(comparison: Comparison) -> str:
    return f"two runs on the same {comparison.images} images, differences in percentage points"


def _notes(comparison: Comparison) -> Iterator[str]:
    for letter, run in (("A", comparison.a), ("B", comparison.b)):
        yield f"{letter}: {_described(run)}"
    yield from comparison.notes


def _described(run: ComparedRun) -> str:
    return f"{heading(run)} ({run.run})"
