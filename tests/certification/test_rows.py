"""Rows of coefficients: windows stand for the same linear functions as whole rows do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from advtool.certification.rows import Rows
from advtool.compute.layers import Affine, Box
from advtool.compute.layers.affine import Convolution, Scale, Sum

Shape = tuple[int, ...]


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shape_after(layer: Affine, shape: Shape) -> Shape:
    inputs = [torch.zeros(1, *shape, dtype=torch.float64)] * (2 if isinstance(layer, Sum) else 1)
    return tuple(layer(*inputs).shape[1:])


@st.composite
def convolutions(draw: st.DrawFn, channels: int) -> Convolution:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2]))
    kernel, stride, dilation = draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2))), draw(pair)
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    weight = randn(2, channels // groups, *kernel, seed=draw(st.integers(0, 99)))
    return Convolution(weight, None, stride, padding, dilation, False, (0, 0), groups)


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[Affine], list[Shape]]:
    """Layers in the order in which images go through them, and the shapes before each and at the end."""
    shapes: list[Shape] = [(2, draw(st.integers(5, 9)), draw(st.integers(5, 9)))]
    layers: list[Affine] = []
    for _ in range(draw(st.integers(1, 4))):
        channels, _, width = shapes[-1]
        kind = draw(st.sampled_from(["convolution", "convolution", "scale", "scale of pixels", "shift"]))
        layer: Affine
        if kind == "convolution":
            layer = draw(convolutions(channels))
            try:
                shape_after(layer, shapes[-1])
            except RuntimeError:  # no room for the kernel
                continue
        elif kind == "scale":
            layer = Scale(randn(channels, 1, 1, seed=3), None)
        elif kind == "scale of pixels":
            layer = Scale(randn(1, 1, width, seed=4), None)
        else:
            layer = Scale(None, randn(channels, 1, 1, seed=5))
        layers.append(layer)
        shapes.append(shape_after(layer, shapes[-1]))
    return layers, shapes


def every_unit(shape: Shape, images: int = 1) -> Rows:
    """All entries of a node, of each of the images."""
    entries = torch.arange(torch.Size(shape).numel())
    which = torch.arange(images).repeat_interleave(len(entries))
    return Rows.units(entries.repeat(images), which, shape, torch.zeros((), dtype=torch.float64))


@settings(max_examples=120)
@given(chain=chains())
def test_windows_are_whole_rows(chain: tuple[list[Affine], list[Shape]]) -> None:
    layers, shapes = chain
    windows = every_unit(shapes[-1])
    whole = windows.dense()
    torch.testing.assert_close(whole.values.flatten(1), torch.eye(len(whole.values), dtype=torch.float64))
    for layer, shape in zip(reversed(layers), reversed(shapes[:-1]), strict=True):
        (windows,), (whole,) = windows.through(layer, [shape]), whole.through(layer, [shape])
        assert windows.shape == whole.shape == shape
        torch.testing.assert_close(windows.dense().values, whole.values, rtol=1e-9, atol=1e-9)
        check(windows, whole)


def check(rows: Rows, whole: Rows) -> None:
    """``take``, ``dot`` and ``least`` against direct sums."""
    for count in (1, 1 + int(rows.images.max())):
        numbers = randn(count, *rows.shape, seed=8)
        theirs = numbers[rows.images if count > 1 else torch.zeros_like(rows.images)]
        torch.testing.assert_close(rows.dot(numbers), (whole.values * theirs).flatten(1).sum(1), rtol=1e-9, atol=1e-9)
        box = Box(theirs - 0.5, theirs + 0.25)
        least = (whole.values.clamp(min=0) * box.low + whole.values.clamp(max=0) * box.high).flatten(1).sum(1)
        torch.testing.assert_close(rows.least(Box(numbers - 0.5, numbers + 0.25)), least, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(abs(rows).dot(numbers.abs()), (whole.values.abs() * theirs.abs()).flatten(1).sum(1))
    torch.testing.assert_close((-rows).dense().values, -whole.values)
    some = torch.arange(len(rows.values))[::3]
    torch.testing.assert_close(rows.at(some).dense().values, whole.values[some])


def convolution(kernel: int, stride: int, padding: int, seed: int = 0) -> Convolution:
    sides = ((stride,) * 2, (padding,) * 2, (1, 1), False, (0, 0), 1)
    return Convolution(randn(2, 2, kernel, kernel, seed=seed), None, *sides)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("wider", [0, 1, 2])
def test_branches_add_up_though_one_window_is_wider(kernel: int, stride: int, padding: int, wider: int) -> None:
    branches = convolution(kernel, stride, padding), convolution(kernel + 2 * wider, stride, padding + wider, seed=1)
    shape = shape_after(branches[0], (2, 8, 9))
    assert shape == shape_after(branches[1], (2, 8, 9))
    one, other = (every_unit(shape, 2).through(each, [(2, 8, 9)])[0] for each in branches)
    expected = one.dense().values + other.dense().values
    for added in (one + other, other + one, one.dense() + other, one + other.dense()):
        torch.testing.assert_close(added.dense().values, expected, rtol=1e-9, atol=1e-9)


def test_branches_of_different_strides_add_up() -> None:
    branches = convolution(2, 2, 0), convolution(5, 1, 0, seed=1)
    rows = every_unit((2, 4, 4))
    one, other = (rows.through(each, [(2, 8, 8)])[0] for each in branches)
    assert shape_after(branches[0], (2, 8, 8)) == shape_after(branches[1], (2, 8, 8)) == rows.shape
    assert one.windows is not None
    assert other.windows is not None
    assert one.windows.stride != other.windows.stride
    torch.testing.assert_close((one + other).dense().values, one.dense().values + other.dense().values)


def test_a_row_of_one_pixel_moves_with_it() -> None:
    layer = Convolution(torch.ones(1, 1, 3, 3, dtype=torch.float64), None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1)
    (rows,) = every_unit((1, 6, 6)).through(layer, [(1, 6, 6)])
    assert rows.windows is not None
    assert rows.values.shape == (36, 1, 3, 3)
    assert rows.values.sum(0).min() < 36  # nothing beyond the edges
    whole = rows.dense().values
    assert whole.flatten(1).sum(1).view(6, 6)[0].tolist() == [4, 6, 6, 6, 6, 4]
    assert whole[7].nonzero()[:, 1:].tolist() == [[i, j] for i in range(3) for j in range(3)]


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (2, 2, 3, 2)])
def test_units_of_any_node(shape: Shape) -> None:
    rows = every_unit(shape, images=2)
    numbers = randn(2, *shape)
    torch.testing.assert_close(rows.dot(numbers), numbers.flatten())
