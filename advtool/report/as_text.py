"""A table for people at a terminal; a pipe gets the same without colour."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat, takewhile

import rich.table
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
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
LONGEST_WHOLE = 10
"""Letters of a word up to which it is not broken, such as ``undecided`` in a column of verdicts."""
BELOW = " (", "\n("
"""How a figure is broken where lines are short: before its bracket."""
ROOMY = ((True, 1), (False, 1))
"""Whether figures stay in one line, and the blanks on each side of a cell."""
LAYOUTS = (*ROOMY, (False, 0))
"""All, the narrowest last."""

CONTINUED = " \\"
"""At the end of a line of a command that goes on in the next."""
WORD = r"""(?:[^\s'"]|'[^']*'|"[^"]*")+"""
COMMAND_PART = re.compile(rf"--[\w-]+ (?!--){WORD}|{WORD}")
"""A word of a command with what stands in its quotes, or an option with its value."""


Written = tuple[Column, list[str]]
"""A column with its heading and what is written of each row."""


def render(table: Table) -> str:
    """The table as plain text, in 80 columns wherever it goes."""
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable(table), crop=False)
    return capture.get()


def renderable(table: Table) -> RenderableType:
    """The table for a Rich console, which adds colour where there is a terminal, and uses the width that it has.

    A table that is not folded may have longer lines: print it with ``crop=False``.
    """
    return _Fitted(table)


@dataclass(frozen=True)
class _Fitted:
    """A table that is laid out when the width is known."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table, width = self.table, options.max_width
        if table.title:
            yield Text(table.title, style="bold", justify="left")
        if table.facts:
            yield _facts(table.facts)
        yield from _grids(table, width) if table.folded else _lines(table)
        yield from map(Text, _remarks(table, width))


def _facts(facts: Sequence[tuple[str, str]]) -> RenderableType:
    grid = rich.table.Table.grid(padding=(0, 1))
    grid.add_column(style="bold", min_width=NARROWEST_WORDS)
    grid.add_column(overflow="fold")
    for name, words in facts:
        grid.add_row(Text(name), Text(words))
    return grid


def _grids(table: Table, width: int) -> Iterator[RenderableType]:
    """The columns, in as many parts below each other as the width asks for."""
    columns = table.columns_for(Reader.TERMINAL)
    written = [(column, [column.heading, *map(column.written, table.rows)]) for column in columns]
    return (_grid(table, part, width) for part in _parts(table, written, width))


def _lines(table: Table) -> Iterator[RenderableType]:
    """The heading and the rows, each in one line, in columns as wide as their longest text."""
    columns = table.columns_for(Reader.TERMINAL)
    written = [[column.heading, *map(column.written, table.rows)] for column in columns]
    letters = [max(map(cell_len, texts)) for texts in written]
    styles = ["bold", *(STYLES.get(row.kind, "") for row in table.rows)]
    for style, *line in zip(styles, *written, strict=True) if columns else ():
        cells = [
            set_cell_size(text, width) if column.unit.words else " " * (width - cell_len(text)) + text
            for column, text, width in zip(columns, line, letters, strict=True)
        ]
        yield Text("  ".join(cells).rstrip(), style=style, no_wrap=True, overflow="ignore")


def _parts(table: Table, written: Sequence[Written], width: int) -> Iterator[Sequence[Written]]:
    """All columns if they fit; else parts that repeat the words that the rows begin with."""
    if not written or _widths(table, written, width):
        yield from [written] if written else []
        return
    labels = list(takewhile(lambda each: each[0].unit.words, written)) or list(written[:1])
    part = [*labels]
    for each in written[len(labels) :]:
        if len(part) > len(labels) and not _widths(table, [*part, each], width, ROOMY):
            yield part
            part = [*labels]
        part.append(each)
    yield part


def _grid(table: Table, written: Sequence[Written], width: int) -> RenderableType:
    widths, blanks = _widths(table, written, width) or (repeat(None), 1)
    if table.boxed:
        grid = rich.table.Table(min_width=min(width, WIDTH), padding=(0, blanks))
    else:
        grid = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    cells = []
    for (column, texts), letters in zip(written, widths, strict=False):
        justify: JustifyMethod = "left" if column.unit.words else "right"
        grid.add_column(Text(column.heading), justify=justify, overflow="fold", width=letters)
        whole = column.unit.words or letters is None or max(map(cell_len, texts[1:]), default=0) <= letters
        cells.append(texts[1:] if whole else [text.replace(*BELOW) for text in texts[1:]])
    followers = [*table.rows[1:], *table.rows[-1:]]
    for row, line, following in zip(table.rows, zip(*cells, strict=True), followers, strict=True):
        style = STYLES.get(row.kind, "")
        grid.add_row(*map(Text, line), style=style, end_section=row.section != following.section)
    return grid


def _widths(
    table: Table, written: Sequence[Written], width: int, layouts: Sequence[tuple[bool, int]] = LAYOUTS
) -> tuple[list[int], int] | None:
    """Letters of each column and the blanks on each side of a cell; None: the columns do not fit beside each other."""
    for whole, blanks in layouts:
        letters = [_needed(*each, whole=whole) for each in written]
        frame = 1 + (1 + 2 * blanks) * len(letters) if table.boxed else 2 * (len(letters) - 1)
        left = width - frame - sum(letters)
        if left >= 0:
            for i in sorted(range(len(letters)), key=lambda i: _thirst(*written[i], letters[i])):
                column, texts = written[i]
                lack = _longest_line(texts) - letters[i]
                more = min(lack, left) if column.unit.words else lack if lack <= left else 0
                letters[i] += more
                left -= more
            return letters, blanks
    return None


def _thirst(column: Column, texts: Sequence[str], letters: int) -> tuple[bool, int]:
    """Words come before the headings of figures, and those that lack least come first."""
    return not column.unit.words, _longest_line(texts) - letters


def _longest_line(texts: Sequence[str]) -> int:
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def _needed(column: Column, texts: Sequence[str], *, whole: bool) -> int:
    """Letters that a column needs at least, if no short word is broken, and no figure but before its bracket."""
    if column.unit.words:
        longest = max((cell_len(word) for text in texts for word in text.split()), default=0)
        return longest if longest <= LONGEST_WHOLE else NARROWEST_WORDS
    heading, *figures = texts
    lines = figures if whole else [line for text in figures for line in text.replace(*BELOW).split("\n")]
    return max(map(cell_len, [*heading.split(), *lines]), default=0)


def _remarks(table: Table, width: int) -> Iterator[str]:
    if table.verdict:
        yield f"Verdict over all rows: {table.verdict}"
    yield from table.reasons
    if table.rule:
        yield f"Rule: {table.rule}"
    for number, command in enumerate(table.commands, 1):
        yield _to_copy(f"({number}) ", command, width)
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
