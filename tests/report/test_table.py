"""Laws of every table: each format holds every cell, a terminal's width is kept, and CSV gives the raw values back."""

import csv
import io
import re
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from advtool.report import as_csv, as_markdown, as_text
from advtool.report.table import Column, Reader, Row, Table, Unit
from advtool.report.units import (
    COUNT,
    DIFFERENCE,
    DIFFERENCE_INTERVAL,
    DURATION,
    INTERVAL,
    P_VALUE,
    SHARE,
    WORDS,
    decimals,
)

LETTERS = st.characters(categories=("L", "N", "P", "S"), max_codepoint=0x24F)
TEXTS = st.text(LETTERS | st.sampled_from(' \n|",'), max_size=30)
SHARES = st.floats(0, 1)
DIFFERENCES = st.floats(-1, 1)
VALUES: list[tuple[Unit, st.SearchStrategy[Any]]] = [
    (WORDS, TEXTS),
    (Unit(words=True, strong=True), TEXTS),
    (COUNT, st.integers(0, 10**6)),
    (SHARE, SHARES | st.just("7 left")),
    (INTERVAL, st.tuples(SHARES, SHARES)),
    (DIFFERENCE, DIFFERENCES),
    (DIFFERENCE_INTERVAL, st.tuples(DIFFERENCES, DIFFERENCES)),
    (DURATION, st.floats(0, 1e5)),
    (P_VALUE, SHARES),
    (decimals(3), st.floats(-10, 10)),
]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Up to eight columns of any units, blanks among the values."""
    kinds = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=8))
    columns = tuple(
        Column(draw(TEXTS.filter(str.strip)), f"c{place}", unit, draw(st.sampled_from([Reader.ALL, Reader.PEOPLE])))
        for place, (unit, _) in enumerate(kinds)
    )
    lines = draw(st.lists(st.tuples(*(st.none() | values for _, values in kinds)), max_size=5))
    return Table(
        title=draw(TEXTS),
        columns=(*columns, Column("", "number", COUNT, Reader.PROGRAM)),
        rows=tuple(
            Row({**{f"c{index}": value for index, value in enumerate(line)}, "number": place}, section=place % 2)
            for place, line in enumerate(lines)
        ),
        notes=tuple(draw(st.lists(TEXTS.filter(str.strip), max_size=2))),
        facts=tuple(draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=2))),
    )


def squeezed(text: str) -> str:
    return "".join(text.split())


def grids(text: str) -> list[str]:
    """The parts of a table, each with its own heading."""
    return [f"┏{part}" for part in text.split("┏")[1:]]


def columns_of_the_grid(text: str, mark: str) -> list[str]:
    """What stands in each column in the lines that begin with ``mark``, without white space."""
    rule = text.splitlines()[0]
    edges = [place for place, letter in enumerate(rule) if letter in "┏┳┓"]
    lines = [line for line in text.splitlines() if line.startswith(mark)]
    return [squeezed("".join(line[left + 1 : right] for line in lines)) for left, right in pairwise(edges)]


@given(tables())
def test_a_terminal_shows_every_cell_in_80_columns(table: Table) -> None:
    text = as_text.render(table)
    assert max(map(len, text.splitlines())) <= 80
    columns = table.columns_for(Reader.TERMINAL)
    labels = len(list(takewhile(lambda each: each.unit.words, columns))) or 1
    first, *others = grids(text)
    for mark, expected in (
        ("┃", [squeezed(column.heading) for column in columns]),
        ("│", [squeezed("".join(column.written(row) for row in table.rows)) for column in columns]),
    ):
        shown = columns_of_the_grid(first, mark)
        for part in others:
            repeated, more = (columns_of_the_grid(part, mark)[cut] for cut in (slice(labels), slice(labels, None)))
            assert repeated == expected[:labels], "a part says what its rows are"
            assert more, "and something new of them"
            shown += more
        assert shown == expected
    for words in (table.title, *table.notes):
        assert squeezed(words) in squeezed(text)


WIDE = Table(
    columns=(
        Column("LeNet", "label", WORDS),
        *(Column(f"figure {letter}", letter, decimals(1)) for letter in "abcdefg"),
        Column("verdict", "verdict", WORDS),
    ),
    rows=tuple(
        Row({"label": label, **dict.fromkeys("abcdefg", "98.4 % (98.9 %)"), "verdict": "undecided"})
        for label in ("classical", "multimodal h=8, descent")
    ),
)


def shown_in(width: int) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(as_text.renderable(WIDE))
    return capture.get()


@pytest.mark.parametrize(("width", "parts"), [(60, 2), (80, 2), (120, 1), (200, 1)])
def test_a_wide_table_is_cut_between_columns_and_never_in_a_number_or_a_short_word(width: int, parts: int) -> None:
    text = shown_in(width)
    assert max(map(len, text.splitlines())) <= width
    assert len(grids(text)) == parts
    for word, times in {"98.4 %": 14, "(98.9 %)": 14, "classical": parts, "multimodal": parts, "undecided": 2}.items():
        assert text.count(word) == times, word
    assert ("98.4 % (98.9 %)" in grids(text)[0]) == (width == 200), "the bracket stands below where lines are short"


def test_the_heading_of_figures_is_broken_before_the_name_of_an_attack() -> None:
    """``advtool score`` has five columns of figures under long headings, and attacks with parameters before them."""
    names = ["pgd-temperature", "apgd(loss='dlr')", "square(patience=5, queries=5000)"]
    columns = (
        Column("attack", "name", WORDS),
        *(Column(f"share of {place}", f"c{place}", COUNT) for place in range(5)),
    )
    figures = {f"c{place}": 1 for place in range(5)}
    table = Table(columns=columns, rows=tuple(Row({"name": name, **figures}) for name in names))
    shown = as_text.render(table)
    assert all(word in shown for name in names for word in name.split())
    assert max(map(len, shown.splitlines())) <= 80


@given(tables(), st.integers(20, 200))
def test_a_row_that_is_not_folded_is_one_line_for_any_terminal(table: Table, width: int) -> None:
    columns = tuple(replace(column, heading=column.name) for column in table.columns)
    bare = replace(table, columns=columns, title="", facts=(), notes=(), folded=False)
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(as_text.renderable(bare), crop=False)
    lines = capture.get().splitlines()
    cells = [[column.written(row) for column in bare.columns_for(Reader.TERMINAL)] for row in bare.rows]
    assert len(lines) == 1 + len(bare.rows)
    for line, texts in zip(lines[1:], cells, strict=True):
        assert all(text.strip() in line for text in texts)


@given(tables())
def test_markdown_holds_every_cell_in_a_line_for_each_row(table: Table) -> None:
    lines = [line for line in as_markdown.render(table).splitlines() if line.startswith("| ") and line.endswith(" |")]
    grid = [
        [cell.replace("\\|", "|").replace("\\<", "<").split() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    columns = table.columns_for(Reader.PAGE)
    expected = [[column.heading for column in columns]]
    for row in table.rows:
        cells = [(column.written(row), column.unit.strong) for column in columns]
        expected.append([f"**{cell}**" if strong and cell else cell for cell, strong in cells])
    # A backslash that stands before "<" already looks like one that escapes it.
    assert grid[-len(expected) :] == [[cell.replace("\\<", "<").split() for cell in cells] for cells in expected]


@given(tables())
def test_csv_gives_the_raw_values_back(table: Table) -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv.render(table))))
    assert len(lines) == len(table.rows)
    for line, row in zip(lines, table.rows, strict=True):
        for column in table.columns_for(Reader.PROGRAM):
            value = row.values[column.name]
            parts = ("low", "high") if column.unit in (INTERVAL, DIFFERENCE_INTERVAL) else ()
            names = [f"{column.name}_{part}" for part in parts] or [column.name]
            values = list(value or (None, None)) if parts else [value]
            for name, raw in zip(names, values, strict=True):
                read = line.pop(name)
                if isinstance(raw, str) and raw.lstrip().startswith(as_csv.FORMULA):
                    assert read[0] == "'", "a spreadsheet would compute it"
                    read = read[1:]
                assert read == "" if raw is None else type(raw)(read) == raw
        assert line == {}


def test_the_interval_of_a_table_is_low_and_high() -> None:
    table = Table(columns=(Column("interval", "interval", INTERVAL),), rows=(Row({"interval": (0.1, 0.25)}), Row({})))
    assert as_csv.render(table) == "low,high\n0.1,0.25\n,\n"
    assert as_markdown.render(table) == "| interval |\n|---:|\n| 10.0 - 25.0 |\n| - |\n"


@pytest.mark.parametrize("boxed", [True, False])
def test_facts_stand_above_the_rows_and_alone(boxed: bool) -> None:
    facts, columns = (("model", "net"), ("", "words alone")), (Column("a", "a", COUNT),)
    whole = Table(facts=facts, columns=columns, rows=(Row({"a": 1}),), boxed=boxed)
    assert as_text.render(whole).split()[:4] == ["model", "net", "words", "alone"]
    assert as_markdown.render(whole) == "model: net\n\nwords alone\n\n| a |\n|---:|\n| 1 |\n"
    assert as_csv.render(whole) == "a\n1\n"
    assert as_csv.render(Table(facts=facts)) == "fact,value\nmodel,net\n,words alone\n"
    assert as_markdown.render(Table(facts=facts)) == "model: net\n\nwords alone\n"


def test_a_page_says_its_verdict_and_why() -> None:
    table = Table(
        name="toy",
        title="A toy",
        verdict="partly",
        reasons=("it may",),
        rule="Toss. Of 0.5 the half.",
        notes=("a coin",),
    )
    why = "# toy: A toy\n\nVerdict over all rows: **partly**.\n\n## Why\n\n- it may\n\n"
    page = why + "## Rule\n\n- Toss.\n- Of 0.5 the half.\n\n## Notes\n\n- a coin\n"
    assert as_markdown.render(table) == page
    assert as_text.render(table).split("\n")[1:] == [
        "Verdict over all rows: partly",
        "it may",
        "Rule: Toss. Of 0.5 the half.",
        "a coin",
        "",
    ]


def test_rules_stand_where_the_section_changes() -> None:
    rows = tuple(Row({"a": 1}, section=section) for section in ("x", "x", "y", "z"))
    text = as_text.render(Table(columns=(Column("a", "a", COUNT),), rows=rows))
    assert "".join(line[0] for line in text.splitlines()) == "┏┃┡││├│├│└"
