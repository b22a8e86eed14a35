"""Functions that act on each entry and never fall, and their linear bounds."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from advtool.compute.layers.layer import Box, Nonlinear, Relaxation, Take, total

INFLATION = 2.0**-20
"""Relative widening of offsets, far above the rounding of their own computation, far below what matters."""
SHAPED_ERROR = 16.0
"""By so many units of 2**-24 a float32 sigmoid or tanh may be off. Torch's are within 2."""


@dataclass(frozen=True, eq=False)
class Lines(Relaxation):
    """A line below and a line above each entry: ``slope * x + offset``, all (N, ...)."""

    low_slope: Tensor
    low_offset: Tensor | None
    """None stands for 0"""
    high_slope: Tensor
    high_offset: Tensor

    def back(self, rows: Tensor, take: Take) -> tuple[Tensor, Tensor]:
        slope = torch.where(rows >= 0, take(self.low_slope), take(self.high_slope))
        constant = total(rows.clamp(max=0) * take(self.high_offset))
        if self.low_offset is not None:
            constant = constant + total(rows.clamp(min=0) * take(self.low_offset))
        return rows * slope, constant


@dataclass(frozen=True)
class LeakyReLU(Nonlinear):
    """z = max(x, slope * x) with a slope in [0, 1]; ReLU has slope 0."""

    sign_decides = True
    slope: float | Tensor = 0.0
    """a number, or one for each channel (C, ...)"""

    def float32_error(self, magnitude: Tensor) -> Tensor:
        return magnitude

    def __call__(self, *inputs: Tensor) -> Tensor:
        return torch.maximum(inputs[0], self.slope * inputs[0])

    def ambiguous(self, box: Box) -> Tensor:
        return (box.low < 0) & (box.high > 0)

    def relax(self, box: Box) -> Lines:
        """Zhang et al. 2018: above, the chord; below, whichever of the two branches leaves the smaller area."""
        branch = (box.high > -box.low).to(box.low) * (1 - self.slope) + self.slope
        return self.relax_with(box, branch)

    def relax_with(self, box: Box, below: Tensor) -> Lines:
        """The lines with the slope ``below`` in [slope, 1] under the ambiguous entries (Xu et al. 2021)."""
        low, high = box
        stable = torch.where(low >= 0, torch.ones_like(low), self.slope)
        unsure = self.ambiguous(box)
        width = torch.where(unsure, high - low, 1.0)
        chord = torch.where(unsure, (high - self.slope * low) / width, stable)
        # Above the function at both ends, whatever the rounding of the slope.
        offset = torch.maximum(self(low) - chord * low, self(high) - chord * high) * (1 + INFLATION)
        return Lines(torch.where(unsure, below, stable), None, chord, torch.where(unsure, offset, 0.0))


class SShaped(Nonlinear):
    """Sigmoid or tanh: convex below 0, concave above, flat far out."""

    def float32_error(self, magnitude: Tensor) -> Tensor:
        return torch.full_like(magnitude, SHAPED_ERROR)

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The slope of the function."""

    def ambiguous(self, box: Box) -> Tensor:
        return box.high > box.low

    def relax(self, box: Box) -> Lines:
        """Parallel lines: the smallest slope on the box, through the upper end above and the lower end below.

        The slope of an S-shaped function on an interval is least at one of its ends, so ``f(x) - slope * x`` never
        falls on the box: it is largest at the upper end and least at the lower end. For boxes on one side of 0 the
        chord takes the place of one of the lines, since the function is concave above 0 and convex below.
        """
        low, high = box
        at_low, at_high = self(low), self(high)
        least = torch.minimum(self.derivative(low), self.derivative(high)) * (1 - INFLATION)
        width = torch.where(high > low, high - low, 1.0)
        chord = torch.where(high - low > 1e-3, (at_high - at_low) / width, least)
        below = torch.where(low >= 0, chord, least)
        above = torch.where(high <= 0, chord, least)
        # A chord through either end: its rounding decides which of the two is the safe one.
        low_offset = torch.minimum(at_low - below * low, at_high - below * high)
        high_offset = torch.maximum(at_low - above * low, at_high - above * high)
        return Lines(below, low_offset, above, high_offset)


@dataclass(frozen=True)
class Sigmoid(SShaped):
    """z = 1 / (1 + exp(-x))."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0].sigmoid()

    def derivative(self, x: Tensor) -> Tensor:
        return x.sigmoid() * (-x).sigmoid()


@dataclass(frozen=True)
class Tanh(SShaped):
    """z = tanh(x)."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0].tanh()

    def derivative(self, x: Tensor) -> Tensor:
        return 1 / x.cosh().square()
