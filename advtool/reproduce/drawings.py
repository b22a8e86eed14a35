"""The plots of a table, as data, and the panels that they make of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from advtool.results import Column, Figure, Panel, Point, Row, Series


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Bars of ``columns``: a panel for each group of rows with the same first ``split`` labels.

    ``title`` is a panel's, ``{0}`` in it the first label; the labels ``x`` name a bar.
    """

    columns: tuple[str, ...]
    title: str
    split: int = 1
    x: tuple[int, ...] = (-1,)
    y_label: str = "accuracy"

    def panel(self, rows: Sequence[Row], columns: Sequence[Column]) -> Panel:
        """The bars of one group: the paper's values grey beside ours."""
        units = {column.name: column.unit for column in columns}
        series = []
        for column in self.columns:
            figures = [(", ".join(filter(None, (row.labels[i] for i in self.x))), row.figures[column]) for row in rows]
            stated = [Point(x=x, y=figure.paper) for x, figure in figures if figure.paper is not None]
            paper, ours = ("paper", "ours") if len(self.columns) == 1 else (f"{column}, paper", column)
            series += [Series(name=paper, points=stated, paper=True)] if stated else []
            series.append(Series(name=ours, points=[point(x, figure) for x, figure in figures]))
        share = units[self.columns[0]] == "per cent"
        title = self.title.format(*rows[0].labels)
        return Panel(title=title, kind="bars", y_label=self.y_label, share=share, series=series)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Curves of a column against the third label, one for each second label, a panel for each first one.

    They begin with the column ``at_zero`` at x = 0, where one is named.
    """

    column: str
    x_label: str
    at_zero: str = ""
    split: int = 1

    def panel(self, rows: Sequence[Row], columns: Sequence[Column]) -> Panel:
        """The curves of one data set."""
        del columns
        series = []
        for name, group in groupby(rows, key=lambda row: row.labels[1]):
            curve = list(group)
            first = [point(0.0, curve[0].figures[self.at_zero])] if self.at_zero else []
            rest = [point(float(row.labels[2]), row.figures[self.column]) for row in curve]
            series.append(Series(name=name, points=[*first, *rest]))
        title = f"{rows[0].labels[0]}: {self.column}"
        return Panel(title=title, kind="curves", x_label=self.x_label, y_label="accuracy", series=series)


def panels(drawings: Sequence[Bars | Curves], rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[Panel]:
    """Group by group, every drawing of it."""
    if not drawings:
        return
    for _, group in groupby(rows, key=lambda row: row.labels[: drawings[0].split]):
        here = list(group)
        yield from (drawing.panel(here, columns) for drawing in drawings)


def point(x: float | str, figure: Figure) -> Point:
    """Ours, with its interval or one standard deviation to either side."""
    y, spread = figure.ours or 0.0, figure.deviation
    interval = figure.interval if spread is None else (y - spread, y + spread)
    return Point(x=x, y=y, interval=interval)
