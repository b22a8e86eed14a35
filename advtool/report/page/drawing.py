"""Geometry of the charts. A chart is 100 wide and 100 high, and the page stretches it; 0 is at the top left."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    """per cent of the axis, from the left or from the bottom"""
    label: str


@dataclass(frozen=True)
class Shape:
    """A line or an area, in the style of its class."""

    style: str
    path: str


def line(points: Sequence[Point]) -> str:
    """The path of a line through the points."""
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)


def area(points: Sequence[Point]) -> str:
    """The path of the area that the points enclose."""
    return f"{line(points)}Z"


def even_step(length: float, parts: int) -> float:
    """The smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... that cuts ``length`` into at most so many parts."""
    least = length / parts
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
