"""An evaluation as a Markdown table, to paste into a page, and what every such table shares."""

from collections.abc import Iterable, Sequence

from advtool.report.rows import accuracy, duration, heading, notes, rows, span
from advtool.results import Evaluation


def render(evaluation: Evaluation) -> str:
    """Heading, table, notes."""
    lines = (
        (row.name, accuracy(row), span(row.interval), str(row.images), duration(row.seconds))
        for row in rows(evaluation)
    )
    columns = ("attack", "accuracy", "95 % interval", "images", "time")
    return page(heading(evaluation), columns, lines, notes(evaluation))


def page(title: str, columns: Sequence[str], lines: Iterable[Sequence[str]], notes: Iterable[str]) -> str:
    """A table between its title and its notes; the first column is text, the others figures."""
    table = [
        f"{title}:",
        "",
        f"| {' | '.join(columns)} |",
        f"|---|{'---:|' * (len(columns) - 1)}",
        *(f"| {' | '.join(cells)} |" for cells in lines),
    ]
    remarks = [f"- {note}" for note in notes]
    return "\n".join([*table, *([""] if remarks else []), *remarks]) + "\n"
