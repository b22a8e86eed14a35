"""A table for people at a terminal; a pipe gets the same without colour."""

from collections.abc import Iterator, Sequence

import rich.table
from rich.cells import cell_len
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.text import Text

from advtool.report.table import WIDTH, Column, Reader, Table

STYLES = {
    "clean": "green",
    "minimum": "bold",
    "worst case": "bold red",
    "certified": "bold green",
    "holds": "green",
    "partly": "yellow",
    "undecided": "cyan",
    "does not": "red",
    "gradient masking": "bold red",
}
"""The colour of a row, by its kind."""
NARROWEST_WORDS = 8
"""Letters that a column of words has at least, where the columns of figures leave it the rest of a line."""


def render(table: Table) -> str:
    """The table as plain text."""
    console = Console(width=table.width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable(table))
    return capture.get()


def renderable(table: Table) -> RenderableType:
    """The table for a Rich console, which adds colour where there is a terminal."""
    title = [Text(table.title, style="bold", justify="left")] if table.title else []
    facts = [_facts(table.facts)] if table.facts else []
    columns = table.columns_for(Reader.TERMINAL)
    grid = [_grid(table, columns)] if columns else []
    return Group(*title, *facts, *grid, *map(Text, _remarks(table)))


def _facts(facts: Sequence[tuple[str, str]]) -> RenderableType:
    grid = rich.table.Table.grid(padding=(0, 1))
    grid.add_column(style="bold", min_width=NARROWEST_WORDS)
    grid.add_column(overflow="fold")
    for name, words in facts:
        grid.add_row(Text(name), Text(words))
    return grid


def _grid(table: Table, columns: Sequence[Column]) -> RenderableType:
    lines = [[column.written(row) for column in columns] for row in table.rows]
    whole = _figures_fit(columns, lines, table.width)
    if table.boxed:
        grid = rich.table.Table(min_width=min(table.width, WIDTH))
    else:
        grid = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        words = column.unit.words
        justify: JustifyMethod = "left" if words else "right"
        grid.add_column(Text(column.heading), justify=justify, no_wrap=whole and not words, overflow="fold")
    followers = [*table.rows[1:], *table.rows[-1:]]
    for row, cells, following in zip(table.rows, lines, followers, strict=True):
        style = STYLES.get(row.kind, "")
        grid.add_row(*map(Text, cells), style=style, end_section=row.section != following.section)
    return grid


def _figures_fit(columns: Sequence[Column], lines: Sequence[Sequence[str]], width: int) -> bool:
    """Whether no figure needs a second line; else each column is as narrow as it must be."""
    taken = 1
    for place, column in enumerate(columns):
        widest = max(cell_len(text) for text in [column.heading, *(cells[place] for cells in lines)])
        taken += 3 + (min(widest, NARROWEST_WORDS) if column.unit.words else widest)
    return taken <= width


def _remarks(table: Table) -> Iterator[str]:
    if table.verdict:
        yield f"Verdict over all rows: {table.verdict}"
    yield from table.reasons
    if table.rule:
        yield f"Rule: {table.rule}"
    yield from table.notes
