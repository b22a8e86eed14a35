"""How far images are from being misclassified: the margins of a run as a chart and as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.report.page.drawing import Shape, Tick, area, even_step
from advtool.report.table import Column, Row, Table
from advtool.report.units import WORDS, decimals
from advtool.results import CLEAN, Outcomes

MOST_BINS = 24
TAIL = 0.01
"""What lies beyond this share at either end is counted in the last bin."""
SHARES = (
    ("lowest", 0.0),
    ("5 %", 0.05),
    ("25 %", 0.25),
    ("median", 0.5),
    ("75 %", 0.75),
    ("95 %", 0.95),
    ("highest", 1.0),
)
COLUMNS = (
    Column("share of images below", "share", WORDS),
    Column("untouched", "untouched", decimals(3)),
    Column("under attack", "attacked", decimals(3)),
)


@dataclass(frozen=True)
class MarginChart:
    """Two histograms over one another."""

    shapes: Sequence[Shape]
    zero: float
    """where the margin is 0, in per cent from the left"""
    ticks: Sequence[Tick]
    counts: Sequence[Tick]
    table: Table


def margins(outcomes: Outcomes) -> MarginChart | None:
    """The margins of the images, untouched and at the worst point found; None if no margin is known."""
    found = {"untouched": outcomes.margin[outcomes.stages.index(CLEAN)], "attacked": outcomes.lowest_margin}
    known = {name: values[values.isfinite()] for name, values in found.items()}
    together = torch.cat([*known.values()])
    if not len(together):
        return None
    edges = _edges(together)
    histograms = {name: _counts(values, edges) for name, values in known.items()}
    most = max(max(counts) for counts in histograms.values())
    step = max(1, math.ceil(even_step(most, 4)))
    top = step * math.ceil(most / step)
    return MarginChart(
        shapes=[Shape(name, _outline(counts, top)) for name, counts in histograms.items()],
        zero=100 * -edges[0] / (edges[-1] - edges[0]),
        ticks=_ticks(edges),
        counts=[Tick(100 * count / top, str(count)) for count in range(0, top + 1, step)],
        table=_table(known),
    )


def _edges(values: Tensor) -> list[float]:
    """Even bins whose edges are multiples of their width, so that 0 is one."""
    low, high = (min(0.0, float(values.quantile(TAIL))), max(0.0, float(values.quantile(1 - TAIL))))
    width = even_step(high - low or 1.0, MOST_BINS - 2)
    first, last = math.floor(low / width), max(math.ceil(high / width), math.floor(low / width) + 1)
    return [width * place for place in range(first, last + 1)]


def _counts(values: Tensor, edges: Sequence[float]) -> list[int]:
    """How many values lie in each bin; the first and the last one also hold what lies beyond."""
    inner = torch.tensor(edges[1:-1], dtype=values.dtype)
    return torch.bucketize(values, inner, right=True).bincount(minlength=len(edges) - 1).tolist()


def _outline(counts: Sequence[int], top: int) -> str:
    width, points = 100 / len(counts), [(0.0, 100.0)]
    for place, count in enumerate(counts):
        height = 100 - 100 * count / top
        points += [(width * place, height), (width * (place + 1), height)]
    return area([*points, (100.0, 100.0)])


def _ticks(edges: Sequence[float]) -> list[Tick]:
    length = edges[-1] - edges[0]
    step = even_step(length, 6)
    inside = range(math.ceil(edges[0] / step - 1e-9), math.floor(edges[-1] / step + 1e-9) + 1)
    return [Tick(100 * (step * place - edges[0]) / length, f"{step * place:g}") for place in inside]


def _table(known: dict[str, Tensor]) -> Table:
    rows = [
        Row({"share": words, **{name: float(values.quantile(share)) for name, values in known.items() if len(values)}})
        for words, share in SHARES
    ]
    return Table(title="Quantiles of the margin", columns=COLUMNS, rows=tuple(rows))
