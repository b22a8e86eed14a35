"""An evaluation as a table for people, 80 columns wide."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from advtool.report.rows import Row, accuracy, duration, heading, notes, rows, span
from advtool.results import Evaluation

WIDTH = 80


def render(evaluation: Evaluation) -> str:
    """The table as plain text."""
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable(evaluation))
    return capture.get()


def renderable(evaluation: Evaluation) -> RenderableType:
    """The table for a Rich console, which adds colour where there is a terminal."""
    table = Table(title=Text(heading(evaluation)), title_justify="left", title_style="bold", min_width=WIDTH)
    table.add_column("attack", overflow="fold", ratio=1)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("images", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    lines = list(rows(evaluation))
    for row, following in zip(lines, [*lines[1:], None], strict=True):
        ends_section = following is not None and row.kind in ("clean", "attack") and row.kind != following.kind
        table.add_row(*_cells(row), style=_style(row), end_section=ends_section)
    return Group(table, *(Text(note) for note in notes(evaluation)))


def _cells(row: Row) -> list[Text]:
    return [
        Text(cell)
        for cell in (
            row.name,
            accuracy(row),
            span(row.interval),
            str(row.images),
            duration(row.seconds),
        )
    ]


def _style(row: Row) -> str:
    return {"clean": "green", "attack": "", "minimum": "bold", "worst case": "bold red"}[row.kind]
