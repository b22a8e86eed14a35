"""A checklist: an item a row, list by list; the commands stand below, each once."""

import textwrap
from collections.abc import Iterator

from advtool.report import titles
from advtool.report.table import Column, Reader, Row, Table
from advtool.report.units import WORDS
from advtool.results import Checklist, ChecklistItem

COLUMNS = (
    Column("", "source", WORDS, Reader.PROGRAM),
    Column("list", "list", WORDS, Reader.PAGE | Reader.PROGRAM),
    Column("section", "section", WORDS, Reader.PAGE | Reader.PROGRAM),
    Column("item", "folded_item", WORDS, Reader.TERMINAL, folded=True),
    Column("item", "item", WORDS, Reader.PAGE | Reader.PROGRAM),
    Column("status", "folded_status", WORDS, Reader.TERMINAL, folded=True),
    Column("status", "status", WORDS, Reader.PAGE | Reader.PROGRAM),
    Column("answer", "shown", WORDS, Reader.PEOPLE),
    Column("", "answer", WORDS, Reader.PROGRAM),
    Column("", "findings", WORDS, Reader.PROGRAM),
    Column("", "command", WORDS, Reader.PROGRAM),
)
ITEM_LETTERS, STATUS_LETTERS = 22, 10
"""Widths at a terminal; they leave the answer half of the line."""


def table(checklist: Checklist) -> Table:
    """Numbers in brackets in an answer are those of the commands."""
    commands = list(dict.fromkeys(item.command for item in checklist.items if item.command is not None))
    return Table(
        title=f"Checklists: {titles.heading(checklist)}",
        columns=COLUMNS,
        rows=tuple(_row(item, commands) for item in checklist.items),
        commands=tuple(commands),
        notes=(_counted(checklist), *_sources(checklist)),
    )


def _row(item: ChecklistItem, commands: list[str]) -> Row:
    warned = f"; warning: {', '.join(item.findings)}" if item.findings else ""
    place = "" if item.command is None else f" ({commands.index(item.command) + 1})"
    values = {
        "source": item.source,
        "list": item.list,
        "section": item.section,
        "item": item.item,
        "folded_item": textwrap.fill(f"{item.section}: {item.item}", ITEM_LETTERS),
        "status": item.status,
        "folded_status": textwrap.fill(item.status, STATUS_LETTERS),
        "shown": f"{item.answer}{warned}{place}",
        "answer": item.answer,
        "findings": " ".join(item.findings),
        "command": item.command,
    }
    return Row(values, "warned" if item.findings else item.status, (item.source, item.list))


def _counted(checklist: Checklist) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in checklist.counts.items())
    warned = sum(bool(item.findings) for item in checklist.items)
    return f"{len(checklist.items)} items: {counts}; {warned} with a warning of the run"


def _sources(checklist: Checklist) -> Iterator[str]:
    """Each paper with its lists, in the order of the rows; a terminal draws a rule between two lists."""
    lists = list(dict.fromkeys((item.source, item.list) for item in checklist.items))
    for source in dict.fromkeys(source for source, _ in lists):
        yield f"{source}: {', '.join(name for its, name in lists if its == source)}"
