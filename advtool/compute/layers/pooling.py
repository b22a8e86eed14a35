"""Max pooling, and its linear bounds."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from advtool.compute.layers.layer import Box, Nonlinear, Relaxation, Take, total


@dataclass(frozen=True, eq=False)
class Choice(Relaxation):
    """Below: the entry of each window whose lower end is largest. Above: that entry if it wins, else a constant."""

    entry: Tensor
    """int64 (N, C, h, w): that entry's place in its channel"""
    highest: Tensor
    """(N, C, h, w): the upper end of the window; 0 where the entry wins"""
    wins: Tensor
    """bool (N, C, h, w)"""
    shape: tuple[int, ...]
    """of the input"""

    windowed = False

    def back(self, rows: Tensor, take: Take) -> tuple[Tensor, Tensor]:
        taken = torch.where((rows >= 0) | take(self.wins), rows, 0)
        constant = total((rows - taken) * take(self.highest))
        places = rows.new_zeros(*rows.shape[:2], self.shape[1] * self.shape[2])
        return places.scatter_add(2, take(self.entry).flatten(2).expand(len(rows), -1, -1), taken.flatten(2)).view(
            -1, *self.shape
        ), constant


@dataclass(frozen=True)
class MaxPool(Nonlinear):
    """The largest entry of each window, in two dimensions."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool

    @property
    def terms_back(self) -> int:  # type: ignore[override]
        return prod(self.kernel)

    def __call__(self, *inputs: Tensor) -> Tensor:
        return max_pool2d(inputs[0], self.kernel, self.stride, self.padding, self.dilation, self.ceil)

    def float32_error(self, magnitude: Tensor) -> Tensor:
        return torch.zeros_like(self(magnitude))

    def ambiguous(self, box: Box) -> Tensor:
        """The entries that may be the largest of a window that is not decided."""
        relaxed = self.relax(box)
        return (box.high > box.low) & ~relaxed.wins.flatten(1).all(1).view(-1, 1, 1, 1)

    def relax(self, box: Box) -> Choice:
        low, entry = max_pool2d(
            box.low, self.kernel, self.stride, self.padding, self.dilation, self.ceil, return_indices=True
        )
        # An entry wins if no upper end in its window but its own exceeds its lower end.
        wins = low >= self._highest_of_others(box.high, entry)
        return Choice(entry, torch.where(wins, 0, self(box.high)), wins, tuple(box.low.shape[1:]))

    def _highest_of_others(self, high: Tensor, entry: Tensor) -> Tensor:
        """The largest upper end in each window but for the chosen entry, (N, C, h, w)."""
        n, channels, height, width = high.shape
        places = torch.arange(height * width, dtype=high.dtype, device=high.device).view(1, 1, height, width)
        windows, where = (self._windows(each) for each in (high.flatten(0, 1).unsqueeze(1), places))
        chosen = where == entry.reshape(n * channels, 1, -1)
        return windows.masked_fill(chosen, -torch.inf).amax(1).view_as(entry)

    def _windows(self, x: Tensor) -> Tensor:
        """The entries of each window, (N, entries, outputs); -inf beyond the edge."""
        (top, left), (kernel_h, kernel_w), (step_h, step_w) = self.padding, self.kernel, self.stride
        rows, columns = self(x[:1]).shape[2:]
        reach_h = (rows - 1) * step_h + self.dilation[0] * (kernel_h - 1) + 1
        reach_w = (columns - 1) * step_w + self.dilation[1] * (kernel_w - 1) + 1
        below, right = reach_h - x.shape[2] - top, reach_w - x.shape[3] - left
        padded = pad(x, (left, right, top, below), value=-torch.inf)  # a negative pad cuts what no window reaches
        parts = [
            padded[:, 0, i * self.dilation[0] :, j * self.dilation[1] :][
                :, : (rows - 1) * step_h + 1 : step_h, : (columns - 1) * step_w + 1 : step_w
            ]
            for i in range(kernel_h)
            for j in range(kernel_w)
        ]
        return torch.stack(parts, 1).flatten(2)
