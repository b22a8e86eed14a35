"""The panels of a table's plots, made of its rows."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from advtool.reproduce.table import Table
from advtool.results import Column, Figure, Panel, Point, Row, Series


def panels(table: Table, rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[Panel]:
    """Group by group: a panel for each entry of the table's ``bars`` and ``curves``."""
    units = {column.name: column.unit for column in columns}
    for labels, each in groupby(rows, key=lambda row: row.labels[: table.split]):
        group, title = list(each), ", ".join(labels)
        for names in table.bars:
            share = units[names[0]] == "per cent"
            series = [one for name in names for one in _bars(group, name, table.split, alone=len(names) == 1)]
            y_label = "accuracy" if share else units[names[0]]
            if series:
                yield Panel(title=f"{title}: {names[0]}", kind="bars", y_label=y_label, share=share, series=series)
        for name in table.curves:
            series = [_curve(label, list(rest), name) for label, rest in groupby(group, key=lambda row: row.labels[1])]
            x_label = table.label_columns[2]
            if series := [each for each in series if each.points]:
                yield Panel(title=f"{title}: {name}", kind="curves", x_label=x_label, y_label="accuracy", series=series)


def _bars(rows: Sequence[Row], column: str, split: int, *, alone: bool) -> Iterator[Series]:
    """The paper's values, if there are any, and ours; a bar bears the labels that its group does not share."""
    figures = [(", ".join(filter(None, row.labels[split:])), row.figures[column]) for row in rows]
    if stated := [Point(x=x, y=figure.paper) for x, figure in figures if figure.paper is not None]:
        yield Series(name="paper" if alone else f"{column}, paper", points=stated, paper=True)
    if ours := [_point(x, figure) for x, figure in figures if figure.ours is not None]:
        yield Series(name="ours" if alone else column, points=ours)


def _curve(name: str, rows: Sequence[Row], column: str) -> Series:
    """Against eps it begins with the clean accuracy, where that was measured."""
    start = rows[0].figures.get("clean")
    first = [_point(0.0, start)] if start and start.ours is not None else []
    found = ((float(row.labels[2]), row.figures[column]) for row in rows)
    return Series(name=name, points=[*first, *(_point(x, figure) for x, figure in found if figure.ours is not None)])


def _point(x: float | str, figure: Figure) -> Point:
    """Ours, with its interval or one standard deviation to either side."""
    y, spread = figure.ours or 0.0, figure.deviation
    return Point(x=x, y=y, interval=figure.interval if spread is None else (y - spread, y + spread))
