"""The affine layers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import linear

from advtool.compute.layers.layer import Affine, Box

LARGEST_MULTIPLIED = 16
"""Windows of at most so many entries go through a convolution as a product of matrices, which is faster there."""


@dataclass(frozen=True, eq=False)
class Linear(Affine):
    """z = W x + b on the last dimension."""

    weight: Tensor
    """(out, in)"""
    offset: Tensor | None = None
    """(out,)"""

    @property
    def terms(self) -> int:  # type: ignore[override]
        return self.weight.shape[1] + 1

    @property
    def terms_back(self) -> int:  # type: ignore[override]
        return self.weight.shape[0]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return linear(inputs[0], self.weight, self.offset)

    def spread(self, *radii: Tensor) -> Tensor:
        return linear(radii[0], self.weight.abs())

    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        del shapes
        return [rows @ self.weight]

    def bias(self) -> Tensor | None:
        return self.offset


@dataclass(frozen=True, eq=False)
class Convolution(Affine):
    """A convolution, or a transposed one, in one to three dimensions."""

    weight: Tensor
    offset: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int

    @property
    def terms(self) -> int:  # type: ignore[override]
        return self._terms(self.transposed) + 1

    @property
    def terms_back(self) -> int:  # type: ignore[override]
        return self._terms(not self.transposed)

    def _terms(self, transposed: bool) -> int:
        channels = self.weight.shape[0] // self.groups if transposed else self.weight.shape[1]
        return channels * prod(self.weight.shape[2:])

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self._convolve(inputs[0], self.weight, self.offset)

    def spread(self, *radii: Tensor) -> Tensor:
        return self._convolve(radii[0], self.weight.abs(), None)

    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        # What a strided convolution does not reach at the far edge has no coefficient; output_padding fills it up.
        rest = [there - least for there, least in zip(shapes[0][1:], self._smallest_input(rows.shape[2:]), strict=True)]
        padding = (0,) * len(rest) if self.transposed else tuple(rest)
        way = (self.stride, self.padding, self.dilation, not self.transposed, padding, self.groups)
        whole = torch.convolution(rows, self.weight, None, *way)
        # Where dilation lets output_padding reach the stride, the way back is longer than the input.
        return [whole[(slice(None), slice(None), *(slice(size) for size in shapes[0][1:]))]]

    def transpose_window(self, rows: Tensor) -> Tensor:
        """A W of rows that are windows far from any edge, (P, C, h, w)."""
        if self.groups > 1 or rows.shape[2] * rows.shape[3] > LARGEST_MULTIPLIED:
            none = (0, 0)
            return torch.convolution(rows, self.weight, None, self.stride, none, self.dilation, True, none, self.groups)
        matrix = self._matrix(rows.shape[2], rows.shape[3])
        return (rows.flatten(1) @ matrix.flatten(0, 2).flatten(1)).view(-1, *matrix.shape[3:])

    def _matrix(self, height: int, width: int) -> Tensor:
        """W for a window of the output, (C, h, w, C', h', w'): small products are faster as one matrix."""
        kernel = self.weight.shape[2:]
        reach = [(size - 1) * d + 1 for size, d in zip(kernel, self.dilation, strict=True)]
        size = [(n - 1) * s + r for n, s, r in zip((height, width), self.stride, reach, strict=True)]
        matrix = self.weight.new_zeros(self.weight.shape[0], height, width, self.weight.shape[1], *size)
        for i, j in product(range(height), range(width)):
            y, x = i * self.stride[0], j * self.stride[1]
            here = matrix[:, i, j, :, y : y + reach[0] : self.dilation[0], x : x + reach[1] : self.dilation[1]]
            here.copy_(self.weight)
        return matrix

    def bias(self) -> Tensor | None:
        return None if self.offset is None else self.offset.view(-1, *[1] * (self.weight.ndim - 2))

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        way = (self.stride, self.padding, self.dilation, self.transposed, self.output_padding, self.groups)
        return torch.convolution(x, weight, bias, *way)

    def _smallest_input(self, output: Iterable[int]) -> list[int]:
        """The sizes of the smallest input whose output has these sizes."""
        every = zip(output, self.weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        return [(size - 1) * step - 2 * pad + far * (kernel - 1) + 1 for size, kernel, step, pad, far in every]


@dataclass(frozen=True, eq=False)
class Scale(Affine):
    """z = w * x + b, entry by entry: batch normalisation, normalisation of the images, a product with a constant.

    Both broadcast against an input without N.
    """

    factor: Tensor | None = None
    shift: Tensor | None = None
    terms: int = 2
    keeps_boxes = True

    def __call__(self, *inputs: Tensor) -> Tensor:
        scaled = inputs[0] if self.factor is None else inputs[0] * self.factor
        return scaled if self.shift is None else scaled + self.shift

    def spread(self, *radii: Tensor) -> Tensor:
        return radii[0] if self.factor is None else radii[0] * self.factor.abs()

    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        del shapes
        return [rows if self.factor is None else rows * self.factor]

    def bias(self) -> Tensor | None:
        return self.shift


@dataclass(frozen=True, eq=False)
class Mix(Affine):
    """A linear function with weights >= 0 and no bias: a mean, a sum, average pooling, a new shape or order."""

    function: Callable[..., Tensor]
    """of the batches (N, ...)"""
    terms: int = 0
    """0: it only moves entries, without rounding"""
    back: int | None = None
    """the terms of A W, if they are more than those of W x: the most outputs that read one entry"""
    keeps_boxes: bool = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)

    def spread(self, *radii: Tensor) -> Tensor:
        return self.function(*radii)

    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        points = [rows.new_zeros(len(rows), *shape, requires_grad=True) for shape in shapes]
        with torch.enable_grad():
            output = self.function(*points)
        return list(torch.autograd.grad(output, points, rows, create_graph=rows.requires_grad))

    def interval(self, *boxes: Box) -> Box:
        """Without rounding if the function has none."""
        return Box(self(*(box.low for box in boxes)), self(*(box.high for box in boxes)))

    @property
    def terms_back(self) -> int:  # type: ignore[override]
        return self.terms if self.back is None else self.back


@dataclass(frozen=True, eq=False)
class Sum(Affine):
    """z = x + y + ... of equal shapes, as where a residual block ends."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return sum(inputs[1:], inputs[0])

    def spread(self, *radii: Tensor) -> Tensor:
        return self(*radii)

    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        return [rows] * len(shapes)


@dataclass(frozen=True, eq=False)
class LogSoftmax(Affine):
    """The input itself: log softmax takes the same number from every class, so no margin between classes changes."""

    terms = 32
    """far above the roundings of its exponentials and sums, each relative to the largest logit"""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0]

    def spread(self, *radii: Tensor) -> Tensor:
        return radii[0]

    def transpose(self, rows: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
        del shapes
        return [rows]
