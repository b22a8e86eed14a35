"""A table as Markdown, to paste into a page or to be one."""

import re
from collections.abc import Iterable, Iterator

from advtool.report.table import Column, Reader, Row, Table

SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])")
"""Where a rule of many sentences is broken into a list."""


def render(table: Table) -> str:
    """Title, facts, verdict, table, reasons, rule and notes, as far as there are any."""
    return "\n\n".join(filter(None, map(_without_tags, _blocks(table)))) + "\n"


def _without_tags(text: str) -> str:
    """HTML is part of Markdown, and a name may look like it. Between backticks it is text already."""
    parts = re.split(r"(`[^`\n]*`)", text)
    return "".join(part if place % 2 else re.sub(r"<(?=[a-zA-Z/!?])", r"\\<", part) for place, part in enumerate(parts))


def _blocks(table: Table) -> Iterator[str]:
    if table.title:
        yield f"# {table.name}: {table.title}" if table.name else f"{table.title}:"
    yield from (f"{name}: {words}" if name else words for name, words in table.facts)
    if table.verdict:
        yield f"Verdict over all rows: **{table.verdict}**."
    if columns := table.columns_for(Reader.PAGE):
        yield _grid(columns, table.rows)
    if table.reasons:
        yield "## Why"
        yield _list(table.reasons)
    if table.rule:
        yield "## Rule"
        yield _list(SENTENCE_END.split(table.rule))
    yield "\n".join(f"{number}. `{command}`" for number, command in enumerate(table.commands, 1))
    if table.rule and table.notes:
        yield "## Notes"
    yield _list(table.notes)


def _grid(columns: list[Column], rows: Iterable[Row]) -> str:
    rule = "".join("|---" if column.unit.words else "|---:" for column in columns)
    lines = [_line(column.heading for column in columns), f"{rule}|"]
    return "\n".join([*lines, *(_line(_cell(column, row) for column in columns) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    """A bar inside a cell would end it, and a line break the whole line."""
    escaped = (" ".join(cell.splitlines()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _cell(column: Column, row: Row) -> str:
    text = column.written(row)
    return f"**{text}**" if text and column.unit.strong else text


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
