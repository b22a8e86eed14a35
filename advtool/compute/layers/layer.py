"""What a layer is: a function on batches with bounds of its output, and, for linear bounds, a way back.

Batches are (N, ...) tensors; ``shape`` means one image's without N. A row of coefficients A (P, ...) stands for the
linear function A . z of a layer's output z. Weights are held as they are, so that training can differentiate in them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import NamedTuple, Self

import torch
from torch import Tensor

SUMMED_TERMS = 32
"""Short sums in float32 save most of the conversion, and round little."""
Take = Callable[[Tensor], Tensor]


class Box(NamedTuple):
    """An interval for each entry: ``low <= z <= high``, both (N, ...)."""

    low: Tensor
    high: Tensor

    @property
    def magnitude(self) -> Tensor:
        """The largest absolute value of each entry."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def widened(self, by: Tensor | float) -> "Box":
        """The box with its ends moved outwards."""
        return Box(self.low - by, self.high + by)

    def at(self, rows: Tensor) -> "Box":
        """The boxes of some images, or of one image several times."""
        return Box(self.low[rows], self.high[rows])


def total(numbers: Tensor) -> Tensor:
    """The sum (P,) of each row of (P, ...) in float64. At most ``SUMMED_TERMS`` numbers are added in float32 first."""
    flat = numbers.flatten(1)
    terms = next(terms for terms in range(SUMMED_TERMS, 0, -1) if flat.shape[1] % terms == 0)
    sums = flat.view(len(flat), flat.shape[1] // terms, terms).sum(2)
    return sums.sum(1, dtype=torch.float64)


class Layer(ABC):
    """A function of one or more batches."""

    @abstractmethod
    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output (N, ...)."""

    @abstractmethod
    def interval(self, *boxes: Box) -> Box:
        """A box that holds the outputs of all inputs in the boxes, in exact arithmetic."""

    def to(self, dtype: torch.dtype, device: torch.device | str) -> Self:
        """The layer with its tensors in another dtype and on another device, apart from the model's."""
        changed = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                object.__setattr__(changed, name, value.detach().to(device=device, dtype=dtype))
        return changed


class Affine(Layer):
    """z = W x + b, or a sum of such terms over several inputs."""

    keeps_boxes = False
    """The image of a box is a box: each output depends on one input entry, and no two on the same."""
    terms = 1
    """the largest number of products and summands in an entry of W x + b; 0: the layer only moves numbers"""
    terms_back = 1
    """the same of A W"""

    @abstractmethod
    def spread(self, *radii: Tensor) -> Tensor:
        """|W| r (N, ...) for radii r >= 0."""

    @abstractmethod
    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        """A W for each input: rows of coefficients of the inputs, each (P, *shape).

        Args:
            rows: A, coefficients of the output (P, ...).
            shapes: of the inputs.
        """

    def bias(self) -> Tensor | None:
        """b, which broadcasts against an output without N; None stands for 0."""
        return None

    def interval(self, *boxes: Box) -> Box:
        centre = self(*((box.high + box.low) / 2 for box in boxes))
        radius = self.spread(*((box.high - box.low) / 2 for box in boxes))
        return Box(centre - radius, centre + radius)


class Relaxation(ABC):
    """Linear functions below and above a nonlinear layer, on the boxes of its inputs."""

    windowed = True
    """It acts on each entry, so that rows may be windows."""

    @abstractmethod
    def back(self, rows: Tensor, take: Take) -> tuple[Tensor, Tensor]:
        """A lower bound of A . z that is linear in the layer's input.

        Args:
            rows: A, coefficients of the output (P, ...).
            take: gives the numbers (P, ...) that belong to the rows, of numbers (N, ...) for each image.

        Returns:
            Coefficients of the input (P, ...), and constants (P,) in float64.
        """


class Nonlinear(Layer):
    """A layer of one input that is bounded by linear functions. It never falls when an entry rises."""

    sign_decides = False
    """An entry whose sign is known is bounded exactly, whatever the ends of its box."""

    terms_back = 1
    """the most outputs whose lines read one entry of the input"""

    def interval(self, *boxes: Box) -> Box:
        return Box(self(boxes[0].low), self(boxes[0].high))

    @abstractmethod
    def relax(self, box: Box) -> Relaxation:
        """The linear functions on this box of the input (N, ...)."""

    @abstractmethod
    def float32_error(self, magnitude: Tensor) -> Tensor:
        """How far float32 may be from the exact function, in units of 2**-24, for inputs up to ``magnitude``."""

    @abstractmethod
    def ambiguous(self, box: Box) -> Tensor:
        """The entries of the input whose box should be tighter, bool (N, ...)."""
