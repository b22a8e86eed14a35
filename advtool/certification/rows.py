"""Rows of coefficients: linear functions of a node's output, each of one image.

A row that begins at one entry of a convolution reaches few entries of the layers before it. It is kept as a window,
which moves with the entry, not as a whole layer.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from advtool.compute.layers import Affine, Box
from advtool.compute.layers.affine import Convolution, Scale, Sum
from advtool.compute.layers.layer import total

Pair = tuple[int, int]


class Windows(NamedTuple):
    """Where the windows of a node lie: one for each cell of the grid at which the rows begin."""

    cells: Tensor
    """int64 (P,): the cell of each row, counted in a flat grid"""
    grid: Pair
    """rows and columns of the grid"""
    stride: Pair = (1, 1)
    """from one cell's window to the next one's"""
    first: Pair = (0, 0)
    """the place of the first cell's window; it may lie before the edge"""

    def through(self, layer: Convolution) -> "Windows":
        """The windows of a convolution's input."""
        stride = (self.stride[0] * layer.stride[0], self.stride[1] * layer.stride[1])
        first = tuple(at * s - p for at, s, p in zip(self.first, layer.stride, layer.padding, strict=True))
        return Windows(self.cells, self.grid, stride, (first[0], first[1]))

    def unfold(self, values: Tensor, size: Pair) -> Tensor:
        """The windows of numbers (N, C, H, W) as a table (N, cells, C, h, w). Beyond the edge there are zeros."""
        pads = []
        for at, step, cells, window, length in zip(
            self.first, self.stride, self.grid, size, values.shape[2:], strict=True
        ):
            pads.append((-at, at + (cells - 1) * step + window - length))  # a negative pad cuts off
        padded = pad(values, (*pads[1], *pads[0]))
        table = padded.unfold(2, size[0], self.stride[0]).unfold(3, size[1], self.stride[1])
        return table.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


@dataclass(frozen=True, eq=False)
class Rows:
    """P linear functions A . z of a node's output z (N, *shape)."""

    values: Tensor
    """A: (P, *shape), or the windows (P, C, h, w)"""
    images: Tensor
    """int64 (P,): the image of each"""
    shape: tuple[int, ...]
    """of the node's output, without N"""
    windows: Windows | None = None
    """None: the values are whole"""

    @classmethod
    def units(cls, entries: Tensor, images: Tensor, shape: tuple[int, ...], like: Tensor) -> "Rows":
        """The entries of a node themselves: ``entries`` (P,) counts them in a flat output."""
        windows, places = None, entries
        if len(shape) == 3:
            area = shape[1] * shape[2]
            windows, places = Windows(entries % area, (shape[1], shape[2])), entries // area
        size = torch.Size(shape).numel() if windows is None else shape[0]
        values = like.new_zeros(len(places), size).scatter_(1, places.unsqueeze(1), 1)
        return cls(values.view(-1, *(shape if windows is None else (shape[0], 1, 1))), images, shape, windows)

    def __neg__(self) -> "Rows":
        return replace(self, values=-self.values)

    def __abs__(self) -> "Rows":
        return replace(self, values=self.values.abs())

    def at(self, rows: Tensor) -> "Rows":
        """Some of the rows."""
        windows = self.windows if self.windows is None else self.windows._replace(cells=self.windows.cells[rows])
        return replace(self, values=self.values[rows], images=self.images[rows], windows=windows)

    def __add__(self, other: "Rows") -> "Rows":
        if self.windows is None or other.windows is None or self.windows.stride != other.windows.stride:
            whole, more = self.dense(), other.dense()
            return replace(whole, values=whole.values + more.values)
        ours, theirs = self._grown(other), other._grown(self)
        return replace(ours, values=ours.values + theirs.values)

    def take(self, numbers: Tensor) -> Tensor:
        """The numbers (P, ...) that belong to the coefficients, of numbers (N or 1, *shape). 0 beyond the edge."""
        shared = len(numbers) == 1
        numbers = numbers.expand(-1, *self.shape)
        if self.windows is None:
            return numbers if shared else numbers.index_select(0, self.images)
        table = self.windows.unfold(numbers, (self.values.shape[2], self.values.shape[3]))
        place = self.windows.cells if shared else self.images * table.shape[1] + self.windows.cells
        return table.flatten(0, 1).index_select(0, place)

    def dot(self, numbers: Tensor) -> Tensor:
        """A . v (P,) in float64, of numbers v (N or 1, *shape)."""
        return total(self.values * self.take(numbers))

    def least(self, box: Box) -> Tensor:
        """The least A . z (P,) in float64 over boxes of z."""
        low, high = self.take(box.low), self.take(box.high)
        return total(self.values * torch.where(self.values > 0, low, high))

    def dense(self) -> "Rows":
        """The same with whole values."""
        if self.windows is None:
            return self
        length = torch.Size(self.shape[1:]).numel()
        numbers = torch.arange(1, length + 1, device=self.images.device).view(1, 1, *self.shape[1:])
        table = self.windows.unfold(numbers, (self.values.shape[2], self.values.shape[3])).flatten(2)[0]
        places = table.index_select(0, self.windows.cells)  # 0: beyond the edge
        whole = self.values.new_zeros(len(self.values), self.shape[0], length + 1)
        whole = whole.scatter_add(2, places.unsqueeze(1).expand(-1, self.shape[0], -1), self.values.flatten(2))
        return Rows(whole[:, :, 1:].view(-1, *self.shape), self.images, self.shape)

    def through(self, layer: Affine, shapes: list[tuple[int, ...]]) -> list["Rows"]:
        """A W: rows of an affine layer's inputs, which have these shapes."""
        if self.windows is None or not self._stays_windowed(layer, shapes):
            whole = self.dense()
            parts = zip(layer.transpose(whole.values, shapes), shapes, strict=True)
            return [Rows(part, self.images, shape) for part, shape in parts]
        if isinstance(layer, Convolution):
            moved = Rows(layer.transpose_window(self.values), self.images, shapes[0], self.windows.through(layer))
            return [moved._inside()]
        return [replace(self, values=part) for part in layer.transpose(self.values, shapes)]

    def _stays_windowed(self, layer: Affine, shapes: list[tuple[int, ...]]) -> bool:
        if isinstance(layer, Convolution):
            sizes = zip(self.values.shape[2:], layer.stride, layer.weight.shape[2:], shapes[0][1:], strict=True)
            return not layer.transposed and all((here - 1) * s + k < there for here, s, k, there in sizes)
        if isinstance(layer, Scale):
            return layer.factor is None or layer.factor.shape[1:].numel() == 1
        return isinstance(layer, Sum)

    def _inside(self) -> "Rows":
        """The same without coefficients of what lies beyond the edge, where a convolution reads zeros."""
        inside = self.values.new_ones(1, 1, *self.shape[1:])
        return replace(self, values=self.values * replace(self, shape=(1, *self.shape[1:])).take(inside))

    def _grown(self, other: "Rows") -> "Rows":
        """The windows, made as large as both together."""
        assert self.windows is not None
        assert other.windows is not None
        pads, first = [], []
        for axis in (0, 1):
            start, theirs = self.windows.first[axis], other.windows.first[axis]
            end, their_end = start + self.values.shape[2 + axis], theirs + other.values.shape[2 + axis]
            pads.append((max(0, start - theirs), max(0, their_end - end)))
            first.append(min(start, theirs))
        windows = self.windows._replace(first=(first[0], first[1]))
        return replace(self, values=pad(self.values, (*pads[1], *pads[0])), windows=windows)
