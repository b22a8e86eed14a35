"""Linear bounds: the equations of CROWN, exact answers, and boxes that hold what the model computes."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advtool.certification.linear_bounds import LinearBounds
from advtool.certification.rows import Rows
from advtool.compute.layers import Box, LayerGraph
from tests.support.networks import NETWORKS, each, graph_of, images, randomise
from tests.support.random_networks import random_network

NUMBERS = 2**20


def bounds_of(model: nn.Module, box: Box) -> LinearBounds:
    return LinearBounds(graph_of(model, tuple(box.low.shape[1:]), torch.float32), box, NUMBERS)


def lower_margins(bounds: LinearBounds, rows: Tensor) -> Tensor:
    """Of one image: lower bounds (P,) of rows (P, classes) of the logits."""
    which = torch.zeros(len(rows), dtype=torch.long)
    return bounds.lower(len(bounds.graph.nodes) - 1, Rows(rows, which, bounds.graph.nodes[-1].shape))


Lines = tuple[np.ndarray, np.ndarray, np.ndarray]
Bound = tuple[np.ndarray, np.ndarray]
"""Coefficients (rows, pixels) and constants (rows,)."""


def relu_lines(low: np.ndarray, high: np.ndarray) -> Lines:
    """Zhang et al. 2018, table 2: the slope below, the slope above and the offset above."""
    unsure = (low < 0) & (high > 0)
    above = np.where(unsure, high / np.where(unsure, high - low, 1), low >= 0)
    return np.where(unsure, high > -low, low >= 0), above, np.where(unsure, -low * above, 0)


def crown(A: np.ndarray, weights: list[np.ndarray], biases: list[np.ndarray], lines: list[Lines]) -> Bound:
    """Theorem 3.2: a linear function of the images below A . z of the last layer."""
    constant = A @ biases[-1]
    A = A @ weights[-1]
    for weight, bias, (below, above, offset) in zip(weights[-2::-1], biases[-2::-1], lines[::-1], strict=True):
        constant = constant + np.minimum(A, 0) @ offset
        A = np.maximum(A, 0) * below + np.minimum(A, 0) * above
        constant = constant + A @ bias
        A = A @ weight
    return A, constant


def least(A: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.maximum(A, 0) @ low + np.minimum(A, 0) @ high
    return found


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), eps=st.sampled_from([0.01, 0.05, 0.2, 0.5]), width=st.integers(2, 12))
def test_bounds_are_those_of_the_paper(seed: int, eps: float, width: int) -> None:
    """Two hidden layers. The interval of the first is exact, that of the second intersected with CROWN's."""
    layers = [nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)]
    model, x = randomise(nn.Sequential(nn.Flatten(), *layers), seed), images(1, (1, 1, 5), seed)
    weights, biases = ([getattr(each, name).double().numpy() for each in layers[::2]] for name in ("weight", "bias"))
    ends = [x.flatten().double().numpy() + each for each in (-eps, eps)]
    first = [sign * (least(sign * weights[0], *ends) + sign * biases[0]) for sign in (1, -1)]
    lines, second = [relu_lines(*first)], []
    for sign in (1, -1):
        A, constant = crown(sign * np.eye(width), weights[:2], biases[:2], lines)
        interval = least(sign * weights[1], *np.maximum(first, 0)) + sign * biases[1]
        second.append(sign * np.maximum(least(A, *ends) + constant, interval))
    lines.append(relu_lines(*second))
    rows = np.random.default_rng(seed).normal(size=(6, 3)).astype(np.float32)
    A, constant = crown(rows.astype(np.float64), weights, biases, lines)

    bounds = bounds_of(model, Box(x - eps, x + eps))
    place = next(place for place, node in enumerate(bounds.graph.nodes) if node.name == "layer '3'")
    box, unsure = bounds.boxes[place], (second[0] < 0) & (second[1] > 0)
    close = 1e-4 * max(1, np.abs(second).max())
    assert_close_and_sound(box.low[0].numpy()[unsure], second[0][unsure], close)
    assert_close_and_sound(-box.high[0].numpy()[unsure], -second[1][unsure], close)
    ours, theirs = lower_margins(bounds, torch.from_numpy(rows)).numpy(), least(A, *ends) + constant
    assert_close_and_sound(ours, theirs, 1e-3 * max(1, np.abs(theirs).max()))


def assert_close_and_sound(ours: np.ndarray, theirs: np.ndarray, room: float) -> None:
    """A little below exact arithmetic: the allowance for rounding."""
    assert (ours <= theirs).all(), (ours - theirs).max()
    assert (ours >= theirs - room).all(), (ours - theirs).min()


def points(box: Box, count: int, seed: int = 0) -> Tensor:
    """Random corners of the box of one image, and random points inside, float32."""
    generator = torch.Generator().manual_seed(seed)
    where = torch.rand(count, *box.low.shape[1:], generator=generator)
    where[::2] = where[::2].round()
    return torch.maximum(torch.minimum(box.low + where * (box.high - box.low), box.high), box.low)


def check_boxes(model: nn.Module, x: Tensor, *radii: float) -> None:
    """Every node's box holds the model's float32 values, and every bound backwards lies below them."""
    graph = graph_of(model, tuple(x.shape[1:]), torch.float32)
    for eps in radii:
        check_box(model, graph, Box(x - eps, x + eps))


def check_box(model: nn.Module, graph: LayerGraph, box: Box) -> None:
    bounds, values = LinearBounds(graph, box, NUMBERS), [points(box, 100)]
    for node, held in zip(bounds.graph.nodes[1:], bounds.boxes[1:], strict=True):
        assert node.layer is not None
        values.append(node.layer(*(values[place] for place in node.inputs)))
        assert (held.low <= values[-1]).all(), node
        assert (held.high >= values[-1]).all(), node
    shape, outputs = bounds.graph.nodes[-1].shape, model(values[0])
    rows = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1))
    last = len(bounds.graph.nodes) - 1
    below = bounds.lower(last, Rows(rows, torch.zeros(5, dtype=torch.long), shape))
    products = outputs.flatten(1).double() @ rows.flatten(1).double().T
    assert (below <= products).all(), (below - products).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_bounds_hold_of_every_layer(name: str) -> None:
    """Behind the layer there is a ReLU, and one more layer, so that bounds go back through it."""
    behind = nn.Sequential(each(name), nn.Flatten(), nn.BatchNorm1d(1, affine=False), nn.ReLU())
    size = behind[1](behind[0](images(2))).shape[1]
    behind[2] = nn.BatchNorm1d(size)
    check_boxes(randomise(nn.Sequential(*behind, nn.Linear(size, 3))), images(1), 0.0, 1e-4, 0.1)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_bounds_hold_of_random_networks(seed: int) -> None:
    model, shape, _ = random_network(seed)
    check_boxes(model, images(1, shape, seed), 1e-6, 0.003, 0.05, 0.3)


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_how_many_rows_go_back_at_once_changes_nothing(seed: int) -> None:
    model, shape, classes = random_network(seed)
    box, graph = Box(images(1, shape) - 0.03, images(1, shape) + 0.03), graph_of(model, shape, torch.float32)
    many, few = (lower_margins(LinearBounds(graph, box, numbers), torch.eye(classes)) for numbers in (NUMBERS, 1))
    torch.testing.assert_close(many, few, rtol=1e-4, atol=1e-4)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
@example(seed=38999)
@example(seed=14987)
def test_backward_bounds_only_sharpen_intervals(seed: int) -> None:
    model, shape, _ = random_network(seed)
    box = Box(images(1, shape) - 0.05, images(1, shape) + 0.05)
    bounds, boxes = bounds_of(model, box), [box]
    for node, ours in zip(bounds.graph.nodes[1:], bounds.boxes[1:], strict=True):
        assert node.layer is not None
        boxes.append(node.layer.interval(*(boxes[place] for place in node.inputs)))
        # what rounds in a large node stays where a later one is small again, and wide layers add it up
        room = 1e-2 * (1 + max(float(each.magnitude.max()) for each in boxes))
        assert (ours.low >= boxes[-1].low - room).all()
        assert (ours.high <= boxes[-1].high + room).all()
