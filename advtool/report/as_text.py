"""A table for people at a terminal; a pipe gets the same without colour."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

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
    "warned": "bold red",
    "not done": "yellow",
    "left to you": "cyan",
    "not applicable": "dim",
    "going on": "cyan",
    "stopped": "yellow",
    "damaged": "red",
}
"""The colour of a row, by its kind."""
NARROWEST_WORDS = 8
"""Letters that a column of words has at least, where the columns of figures leave it the rest of a line."""
LONGEST_WHOLE = 9
"""Letters of a column's longest word up to which it is not broken, as in a column of verdicts."""

CONTINUED = " \\"
"""At the end of a line of a command that goes on in the next."""
WORD = r"""(?:[^\s'"]|'[^']*'|"[^"]*")+"""
COMMAND_PART = re.compile(rf"--[\w-]+ (?!--){WORD}|{WORD}")
"""A word of a command with what stands in its quotes, or an option with its value."""


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
    texts = [(each, [each.heading, *(cells[place] for cells in lines)]) for place, each in enumerate(columns)]
    whole = _figures_fit(columns, lines, table.width)
    if table.boxed:
        grid = rich.table.Table(min_width=min(table.width, WIDTH))
    else:
        grid = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    narrow = not whole and sum(3 + _narrowest(*each) for each in texts) < table.width
    for column, written in texts:
        justify: JustifyMethod = "left" if column.unit.words else "right"
        options = _narrow(column, written) if narrow else {"no_wrap": whole and not column.unit.words}
        grid.add_column(Text(column.heading), justify=justify, overflow="fold", **options)
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


def _narrow(column: Column, texts: Sequence[str]) -> dict[str, Any]:
    """How a column gives way where lines are short: a figure is broken before its bracket, a short word nowhere."""
    narrowest, widest = _narrowest(column, texts), max(map(cell_len, texts))
    return {"no_wrap": narrowest == widest} | ({} if column.unit.words else {"max_width": narrowest})


def _narrowest(column: Column, texts: Sequence[str]) -> int:
    """Letters that a column needs at least, if no figure is broken but before its bracket."""
    longest = max(texts, key=cell_len)
    if column.unit.words:
        most = LONGEST_WHOLE if " " not in longest else NARROWEST_WORDS
        return cell_len(longest) if cell_len(longest) <= most else NARROWEST_WORDS
    pieces = [
        *column.heading.split(),
        *(piece for text in texts[1:] for piece in text.replace(" (", "\n(").split("\n")),
    ]
    return max(map(cell_len, pieces), default=0)


def _remarks(table: Table) -> Iterator[str]:
    if table.verdict:
        yield f"Verdict over all rows: {table.verdict}"
    yield from table.reasons
    if table.rule:
        yield f"Rule: {table.rule}"
    for number, command in enumerate(table.commands, 1):
        yield _to_copy(f"({number}) ", command, table.width)
    yield from table.notes


def _to_copy(before: str, command: str, width: int) -> str:
    """The command in lines that a shell, or Python, reads as one. An option stays with its value, and quotes whole."""
    lines, indent = [before], " " * len(before)
    for word in COMMAND_PART.findall(command):
        if len(lines[-1]) > len(indent) and len(lines[-1]) + len(word) + 1 + len(CONTINUED) > width:
            lines[-1] += CONTINUED
            lines.append(indent)
        lines[-1] += word if len(lines[-1]) == len(indent) else f" {word}"
    return "\n".join(lines)
