"""The table that every result becomes and every format writes: title, columns, rows, notes."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Flag, auto
from functools import partial
from typing import Any

from advtool.printable import printable

WIDTH = 80
"""Columns that a table fits into, wherever it goes; a terminal may have more or fewer."""


class Reader(Flag):
    """For whom a column is: somebody at a terminal, the page that a Markdown table is pasted into, a program."""

    TERMINAL = auto()
    PAGE = auto()
    PROGRAM = auto()
    PEOPLE = TERMINAL | PAGE
    ALL = PEOPLE | PROGRAM


@dataclass(frozen=True)
class Unit:
    """How the values of a column are written.

    Args:
        write: a value as people read it.
        blank: what people read where there is no value.
        words: the values are words, which stand at the left; figures stand at the right.
        strong: a page shows the values in bold.
        parts: the names of the data columns that programs get instead of one.
        split: the values of these data columns.
    """

    write: Callable[[Any], str] = str
    blank: str = ""
    words: bool = False
    strong: bool = False
    parts: tuple[str, ...] = ()
    split: Callable[[Any], Sequence[Any]] = tuple


@dataclass(frozen=True)
class Column:
    """One column; several columns with the same ``name`` write the same values for different readers.

    Args:
        heading: what people read above it.
        name: what programs call it, and the key of its values in a row.
        unit: how its values are written.
        reader: who gets to see it.
        folded: whether its texts are broken into lines already.
    """

    heading: str
    name: str
    unit: Unit
    reader: Reader = Reader.ALL
    folded: bool = False

    def written(self, row: "Row") -> str:
        """The row's value as people read it; a text is shown as it is, whatever the unit."""
        value = row.values.get(self.name)
        if value is None:
            return self.unit.blank
        return printable(value if isinstance(value, str) else self.unit.write(value), keep="\n" if self.folded else "")

    def data_names(self) -> Sequence[str]:
        """The names of the data columns; the parts of ``interval`` are called ``low`` and ``high`` alone."""
        if not self.unit.parts:
            return [self.name]
        prefix = "" if self.name == "interval" else f"{self.name}_"
        return [f"{prefix}{part}" for part in self.unit.parts]

    def data(self, row: "Row") -> Sequence[Any]:
        """The raw values of the data columns, times as in JSON; None where there is none."""
        value = row.values.get(self.name)
        if not self.unit.parts:
            return [value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value]
        return [None] * len(self.unit.parts) if value is None else self.unit.split(value)


@dataclass(frozen=True)
class Row:
    """One line.

    Args:
        values: raw, by the name of the column. A value that is missing or None is blank.
        kind: what the line is about, e.g. ``worst case``; a terminal colours it so.
        section: a terminal draws a rule where it changes.
    """

    values: Mapping[str, Any]
    kind: str = ""
    section: Hashable = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A result as every format shows it.

    Args:
        title: what the figures are about.
        columns: of all readers.
        rows: from top to bottom.
        notes: what a reader should know beside the figures.
        name: of a page that is about this table alone.
        facts: pairs of a name, which may be empty, and words; they stand above the rows.
        verdict: on what the table claims, over all rows.
        reasons: of the verdicts.
        rule: how the verdicts follow from the figures.
        commands: what a reader may run next; answers refer to them by number, from 1.
        boxed: a terminal draws lines between the columns.
        folded: lines are no longer than a terminal's. Else each row is one line, whose names can be copied.
    """

    title: str = ""
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    name: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    rule: str = ""
    commands: tuple[str, ...] = ()
    boxed: bool = True
    folded: bool = True

    def __post_init__(self) -> None:
        """Words may hold a stranger's text, such as a class name. Those in columns are escaped when they are read."""
        escaped = partial(printable, keep="\n")
        for name in ("notes", "reasons", "commands"):
            object.__setattr__(self, name, tuple(map(escaped, getattr(self, name))))
        object.__setattr__(self, "title", escaped(self.title))
        object.__setattr__(self, "facts", tuple((escaped(name), escaped(words)) for name, words in self.facts))

    def data(self) -> tuple[list[str], list[list[Any]]]:
        """What programs get: names, and the raw values of each row; of a table of facts alone the facts."""
        columns = self.columns_for(Reader.PROGRAM)
        if not columns:
            return ["fact", "value"], [list(fact) for fact in self.facts]
        names = [name for column in columns for name in column.data_names()]
        return names, [[value for column in columns for value in column.data(row)] for row in self.rows]

    def columns_for(self, reader: Reader) -> list[Column]:
        """The columns that this reader gets to see."""
        return [column for column in self.columns if column.reader & reader]
