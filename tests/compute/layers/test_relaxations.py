"""The linear bounds of every nonlinear layer lie below and above it, all over the box."""

import itertools
from typing import cast

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from advtool.certification.rounding import allowance
from advtool.compute.layers import Box, Nonlinear
from advtool.compute.layers.activations import LeakyReLU, Lines, Sigmoid, Tanh
from advtool.compute.layers.pooling import MaxPool

ACTIVATIONS: dict[str, Nonlinear] = {
    "relu": LeakyReLU(),
    "leaky relu": LeakyReLU(0.1),
    "identity": LeakyReLU(1.0),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
}
BOXES = [
    (-1.0, 1.0), (-1.0, 2.0), (-2.0, 1.0), (0.5, 0.5), (0.0, 0.0), (-0.7, -0.7), (0.0, 1.0), (-1.0, 0.0), (1.0, 2.0),
    (-3.0, -2.0), (-1e-8, 1.0), (-1.0, 1e-8), (-1e-30, 1e-30), (-1e6, 1e6), (-1e6, 1.0), (-1.0, 1e6), (3e4, 1e6),
    (-200.0, 200.0), (80.0, 90.0), (-90.0, -80.0), (-120.0, -0.001), (0.3, 0.3 + 1e-7), (-0.3, -0.3 + 1e-7),
    (-5e-4, 5e-4), (1.0, 1.0009), (1.0, 1.0011), (-5.0, 0.1), (-0.1, 5.0), (8.0, 20.0), (-20.0, -8.0), (0.0, 1e-40),
]  # fmt: skip


def lines(layer: Nonlinear, box: Box) -> Lines:
    return cast(Lines, layer.relax(box))


def check(layer: Nonlinear, low: Tensor, high: Tensor) -> None:
    """In float32 the lines may be wrong by no more than the room for rounding, in float64 by next to nothing."""
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    for dtype, rest in ((torch.float32, 2.0**-24), (torch.float64, 2.0**-50)):
        box = Box(low.to(dtype)[None], high.to(dtype)[None])
        x = (box.low.double() * (1 - grid) + box.high.double() * grid).clamp(box.low.double(), box.high.double())
        found, exact = lines(layer, box), layer(x)
        room = cast(Tensor, allowance(layer, [box])).double() if dtype is torch.float32 else rest * (1 + x.abs())
        below = found.low_slope.double() * x + (0 if found.low_offset is None else found.low_offset.double())
        above = found.high_slope.double() * x + found.high_offset.double()
        assert (below <= exact + room).all(), (box, dtype, (below - exact - room).max())
        assert (above >= exact - room).all(), (box, dtype, (exact - room - above).max())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_lines_bound_the_activation(name: str) -> None:
    check(ACTIVATIONS[name], *torch.tensor(BOXES, dtype=torch.float64).T)


ends = st.floats(-1e4, 1e4, width=32) | st.floats(-3, 3, width=32) | st.floats(-(2**-10), 2**-10, width=32)


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(max_examples=60)
@given(boxes=st.lists(st.tuples(ends, ends).map(sorted), min_size=40, max_size=40))
def test_lines_bound_the_activation_on_any_box(name: str, boxes: list[list[float]]) -> None:
    check(ACTIVATIONS[name], *torch.tensor(boxes, dtype=torch.float64).T)


@settings(max_examples=60)
@given(slope=st.floats(0, 1), below=st.floats(0, 1), boxes=st.lists(st.tuples(ends, ends).map(sorted), min_size=9))
def test_any_slope_between_the_branches_lies_below_a_relu(slope: float, below: float, boxes: list[list[float]]) -> None:
    low, high = torch.tensor(boxes, dtype=torch.float64).T
    layer, x = LeakyReLU(slope), torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    points = low * (1 - x) + high * x
    found = layer.relax_with(Box(low, high), torch.full_like(low, slope + below * (1 - slope)))
    assert (found.low_slope * points <= layer(points) + 1e-9 * points.abs()).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_interval_is_the_range(name: str) -> None:
    layer, (low, high) = ACTIVATIONS[name], torch.tensor(BOXES, dtype=torch.float64).T
    x = low + (high - low) * torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    interval = layer.interval(Box(low, high))
    torch.testing.assert_close(interval.low, layer(x).amin(0), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(interval.high, layer(x).amax(0), rtol=1e-9, atol=1e-12)


def test_relu_as_in_the_paper() -> None:
    """Zhang et al. 2018, table 2: the chord above; below, slope 1 if the upper end is further from 0, otherwise 0."""
    found = lines(LeakyReLU(), Box(torch.tensor([-1.0, -2.0, 1.0, -2.0]), torch.tensor([3.0, 1.0, 2.0, -1.0])))
    torch.testing.assert_close(found.high_slope, torch.tensor([3 / 4, 1 / 3, 1, 0]))
    torch.testing.assert_close(found.high_offset, torch.tensor([3 / 4, 2 / 3, 0, 0]), rtol=1e-5, atol=0)
    assert found.low_slope.tolist() == [1, 0, 1, 0]
    assert found.low_offset is None


@pytest.mark.parametrize("layer", [Sigmoid(), Tanh()])
def test_lines_of_an_s_are_tight(layer: Nonlinear) -> None:
    """On one side of 0 a chord touches both ends; everywhere the parallel lines touch one end each."""
    low, high = torch.tensor([[0.5, 2.0], [-2.0, -0.5], [-1.0, 2.0]], dtype=torch.float64).T
    found, (at_low, at_high) = lines(layer, Box(low, high)), (layer(low), layer(high))
    assert found.low_offset is not None
    below = [found.low_slope * end + found.low_offset for end in (low, high)]
    above = [found.high_slope * end + found.high_offset for end in (low, high)]
    close = {"rtol": 0.0, "atol": 1e-5}
    torch.testing.assert_close(below[0], at_low, **close)
    torch.testing.assert_close(above[1], at_high, **close)
    torch.testing.assert_close(below[1][0], at_high[0], **close)
    torch.testing.assert_close(above[0][1], at_low[1], **close)


@pytest.mark.parametrize("layer", [Sigmoid(), Tanh()])
def test_float32_is_as_exact_as_stated(layer: Nonlinear) -> None:
    x = torch.cat([torch.linspace(-120, 120, 200_001), torch.linspace(-1e-3, 1e-3, 20_001)])
    error = (layer(x).double() - layer(x.double())).abs()
    assert (error <= 2.0**-24 * layer.float32_error(x.abs()).double() / 4).all()


@settings(max_examples=150)
@given(data=st.data())
def test_max_pooling_against_corners_and_samples(data: st.DataObject) -> None:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation, size = data.draw(pair), data.draw(pair), data.draw(pair), data.draw(pair)
    padding = tuple(data.draw(st.integers(0, each // 2)) for each in kernel)
    layer = MaxPool(kernel, stride, padding, dilation, data.draw(st.booleans()))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    shape = (2, size[0] + 2, size[1] + 2)
    low = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    width = torch.rand(2, *shape, generator=generator, dtype=torch.float64) * data.draw(st.sampled_from([0, 0.1, 1, 3]))
    box = Box(low, low + width * (torch.rand(2, *shape, generator=generator) > 0.3))
    try:
        outputs = layer(low)
    except RuntimeError:  # no window fits
        assume(False)
    images = torch.arange(2).repeat(20)
    rows = torch.randn(40, *outputs.shape[1:], generator=generator, dtype=torch.float64)
    coefficients, constants = layer.relax(box).back(rows, lambda numbers: numbers[images])
    draws = torch.rand(60, 40, *shape, generator=generator, dtype=torch.float64)
    draws[:30] = draws[:30].round()  # corners
    for draw in draws:
        x = box.low[images] + draw * (box.high - box.low)[images]
        bound = (coefficients * x).flatten(1).sum(1) + constants
        assert (bound <= (rows * layer(x)).flatten(1).sum(1) + 1e-9).all()
    interval = layer.interval(box)
    torch.testing.assert_close(interval.low, layer(box.low))
    torch.testing.assert_close(interval.high, layer(box.high))


def test_a_window_that_is_decided_is_exact() -> None:
    layer = MaxPool((2, 2), (2, 2), (0, 0), (1, 1), False)
    low = torch.tensor([[[[0.0, 3.0], [1.0, -1.0]]]])
    box = Box(low, low + 0.5)
    for sign in (1.0, -1.0):
        coefficients, constants = layer.relax(box).back(torch.full((1, 1, 1, 1), sign), lambda numbers: numbers)
        assert coefficients.flatten().tolist() == [0, sign, 0, 0]
        assert constants.tolist() == [0]
    assert not layer.ambiguous(box).any()
    assert layer.ambiguous(Box(low, low + 5)).any()


def test_every_corner_of_a_window() -> None:
    layer = MaxPool((2, 2), (2, 2), (0, 0), (1, 1), False)
    low = torch.tensor([[[[0.0, 0.3], [0.1, -1.0]]]], dtype=torch.float64)
    box = Box(low, low + torch.tensor([[0.5, 0.1], [1.0, 4.0]]))
    for corner in itertools.product((0, 1), repeat=4):
        x = box.low + torch.tensor(corner).view(2, 2) * (box.high - box.low)
        for sign in (1.0, -1.0):
            row = torch.full((1, 1, 1, 1), sign, dtype=torch.float64)
            coefficients, constants = layer.relax(box).back(row, lambda numbers: numbers)
            assert (coefficients * x).sum() + constants <= sign * layer(x)
