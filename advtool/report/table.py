"""An evaluation as a table for people, 80 columns wide, and what every such table shares."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from advtool.report.rows import Kind, accuracy, duration, heading, notes, rows, span
from advtool.results import Evaluation

WIDTH = 80
STYLES: dict[Kind, str] = {"clean": "green", "attack": "", "minimum": "bold", "worst case": "bold red"}


def render(evaluation: Evaluation) -> str:
    """The table as plain text."""
    return plain(renderable(evaluation))


def renderable(evaluation: Evaluation) -> RenderableType:
    """The table for a Rich console, which adds colour where there is a terminal."""
    lines = [
        (row.kind, (row.name, accuracy(row), span(row.interval), str(row.images), duration(row.seconds)))
        for row in rows(evaluation)
    ]
    table = grid(heading(evaluation), ("attack", "accuracy", "95 % interval", "images", "time"), lines)
    return Group(table, *(Text(note) for note in notes(evaluation)))


def plain(content: RenderableType, width: int = WIDTH) -> str:
    """What a console of that many columns without colour shows."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(content)
    return capture.get()


def grid(title: str, columns: Sequence[str], lines: Sequence[tuple[Kind, Sequence[str]]]) -> Table:
    """A table with a rule below the clean accuracy and below the attacks; its first column is text, the others figures.

    Args:
        title: what the figures are about.
        columns: their headings.
        lines: of what kind each is, and a cell for each column.
    """
    table = Table(title=Text(title), title_justify="left", title_style="bold", min_width=WIDTH)
    table.add_column(columns[0], overflow="fold", ratio=1)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    followers = [*(kind for kind, _ in lines[1:]), None]
    for (kind, cells), following in zip(lines, followers, strict=True):
        ends_section = following is not None and kind in ("clean", "attack") and kind != following
        table.add_row(*map(Text, cells), style=STYLES[kind], end_section=ends_section)
    return table
