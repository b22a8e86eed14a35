"""A reproduced table for people and as Markdown: the paper's value beside ours, and the verdict."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from advtool.report.rows import percent, span
from advtool.report.table import plain
from advtool.results import Column, Figure, Reproduced, Row

WIDTH = 120
"""Wider than the other tables: a row has a paper's figure beside each of ours."""
STYLES = {"holds": "green", "partly": "yellow", "does not": "red", "gradient masking": "bold red"}


def as_text(result: Reproduced) -> str:
    """The table as plain text."""
    return plain(renderable(result), WIDTH)


def renderable(result: Reproduced) -> RenderableType:
    """The table for a Rich console; the paper's value stands in brackets."""
    table = Table(title=Text(result.title), title_justify="left", title_style="bold")
    columns = _measured(result)
    for label in result.label_columns:
        table.add_column(label, overflow="fold")
    for column in columns:
        table.add_column(column.name, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    followers = [*result.rows[1:], None]
    for row, following in zip(result.rows, followers, strict=True):
        cells = [*row.labels, *(_pair(row, column) for column in columns), row.verdict or ""]
        ends = following is not None and following.labels[:2] != row.labels[:2]
        table.add_row(*map(Text, cells), style=STYLES.get(row.verdict or "", ""), end_section=ends)
    overall = [f"Verdict over all rows: {result.verdict}"] if result.verdict else []
    lines = [*overall, *reasons(result), f"Rule: {result.rule}", *notes(result)]
    return Group(table, *map(Text, lines))


def reasons(result: Reproduced) -> list[str]:
    """Why each row has its verdict."""
    return [f"{_label(row)}: {row.verdict}: {row.why}" for row in result.rows if row.verdict and row.why]


def as_markdown(result: Reproduced) -> str:
    """Claim, table, reasons, rule, notes and provenance. What was not stated or not measured is blank."""
    lines = [f"# {result.name}: {result.title}", "", f"{result.paper}.", "", f"Claim: {result.claim}", ""]
    lines += [f"Verdict over all rows: **{result.verdict}**.", ""] if result.verdict else []
    lines += [*_markdown_table(result), ""]
    why = [f"- {reason}" for reason in reasons(result)]
    lines += ["## Why", "", *why, ""] if why else []
    lines += [f"Rule: {result.rule}", "", *(f"- {note}" for note in notes(result))]
    return "\n".join(lines) + "\n"


def notes(result: Reproduced) -> Iterator[str]:
    """What a reader should know beside the figures: what the columns are, how it was cut down, how it was made."""
    yield from result.notes
    made = result.provenance
    if made.cuts:
        yield f"scale {made.scale}, cut down: {'; '.join(made.cuts)}"
    else:
        yield f"scale {made.scale}: the paper's protocol"
    if made.scale == "smoke":
        yield "this only shows that everything runs: the figures and verdicts of the scale smoke mean nothing"
    where = made.environment
    yield (
        f"{made.command or 'made from Python'}; seeds {', '.join(map(str, made.seeds))}; {made.date:%Y-%m-%d}, "
        f"{where['device']}, {where['threads']} threads, torch {where['torch']}, ART {where['art']}, "
        f"Python {where['python']}, advtool {where['advtool']}"
    )


def figure(value: float | None, column: Column) -> str:
    """One value in its column's unit; blank if there is none."""
    if value is None:
        return ""
    written = {"per cent": percent(value), "seconds": f"{value:.3f} s", "times": f"{value:.2f}"}
    return written.get(column.unit, f"{value:.3f}")


def spread(found: Figure, column: Column) -> str:
    """The interval or the deviation of our value, as it stands behind it; blank if there is neither."""
    if found.interval is not None:
        return f" ({span(found.interval)})"
    return "" if found.deviation is None else f" ± {_deviation(found.deviation, column)}"


def _measured(result: Reproduced) -> list[Column]:
    """The columns that have a value at all."""
    return [column for column in result.columns if any(column.name in row.figures for row in result.rows)]


def _pair(row: Row, column: Column) -> str:
    """``98.4 % (98.9 %)``: ours, and the paper's in brackets."""
    found = row.figures.get(column.name, Figure())
    star = "*" if found.significant else ""
    paper = f" ({figure(found.paper, column)})" if found.paper is not None else ""
    return figure(found.ours, column) + star + paper


def _markdown_table(result: Reproduced) -> list[str]:
    columns = _measured(result)
    stated = {column.name for column in columns if any(_states(row, column) for row in result.rows)}
    heads = [*result.label_columns]
    for column in columns:
        heads += [f"{column.name}, paper"] if column.name in stated else []
        heads.append(f"{column.name}, ours" if column.name in stated else column.name)
    rule = "|---" * len(result.label_columns) + "|---:" * (len(heads) - len(result.label_columns)) + "|---|---|"
    return [
        f"| {' | '.join([*heads, 'masking codes', 'verdict'])} |",
        rule,
        *(f"| {' | '.join(_markdown_cells(row, columns, stated))} |" for row in result.rows),
    ]


def _markdown_cells(row: Row, columns: Sequence[Column], stated: set[str]) -> list[str]:
    cells = [*row.labels]
    for column in columns:
        found = row.figures.get(column.name, Figure())
        star = "*" if found.significant else ""
        if column.name in stated:
            deviation = "" if found.paper_deviation is None else f" ± {_deviation(found.paper_deviation, column)}"
            cells.append(figure(found.paper, column) + ("*" if found.paper_significant else "") + deviation)
        cells.append(figure(found.ours, column) + star + spread(found, column))
    return [*cells, ", ".join(row.codes), f"**{row.verdict}**" if row.verdict else ""]


def _states(row: Row, column: Column) -> bool:
    return row.figures.get(column.name, Figure()).paper is not None


def _deviation(value: float, column: Column) -> str:
    written = {"per cent": f"{100 * value:.1f}", "times": f"{value:.2f}"}
    return written.get(column.unit, f"{value:.3f}")


def _label(row: Row) -> str:
    return ", ".join(filter(None, row.labels))
