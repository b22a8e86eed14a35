"""Laws of the affine layers, against the dense matrix that autograd finds."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from advtool.compute.layers import Affine, Box
from advtool.compute.layers.affine import Convolution
from tests.support.networks import NETWORKS, graph_of_each

Place = tuple[Affine, list[tuple[int, ...]]]
"""A layer and the shapes of its inputs."""


def affine_layers(name: str) -> list[Place]:
    nodes = graph_of_each(name).nodes
    return [
        (node.layer, [nodes[place].shape for place in node.inputs]) for node in nodes if isinstance(node.layer, Affine)
    ]


def drawn(shapes: list[tuple[int, ...]], seed: int, count: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def matrices(layer: Affine, shapes: list[tuple[int, ...]]) -> tuple[list[Tensor], Tensor]:
    """W for each input, (outputs, inputs), and b (outputs,)."""
    zeros = tuple(torch.zeros(1, *shape, dtype=torch.float64) for shape in shapes)
    every = torch.autograd.functional.jacobian(lambda *x: layer(*x).flatten(), zeros)
    return [w.flatten(1) for w in every], layer(*zeros).flatten()


def check(layer: Affine, shapes: list[tuple[int, ...]]) -> None:
    (W, b), close = matrices(layer, shapes), {"rtol": 1e-9, "atol": 1e-9}
    output = layer(*drawn(shapes, 0))
    rows = drawn([tuple(output.shape[1:])], 1, count=3)[0]
    for ours, w, shape in zip(layer.transpose(rows, shapes), W, shapes, strict=True):
        assert ours.shape == (3, *shape)
        torch.testing.assert_close(ours.flatten(1), rows.flatten(1) @ w, **close)
    radii = [each.abs() for each in drawn(shapes, 2, count=2)]
    spread = sum(radius.flatten(1) @ w.abs().T for radius, w in zip(radii, W, strict=True))
    torch.testing.assert_close(layer.spread(*radii).flatten(1), spread, **close)
    bias = layer.bias()
    stated = torch.zeros_like(output[0]) if bias is None else bias.expand_as(output[0])
    torch.testing.assert_close(stated.flatten(), b, **close)
    boxes = [Box(x - radius, x + radius) for x, radius in zip(drawn(shapes, 3, count=2), radii, strict=True)]
    interval = layer.interval(*boxes)
    low = sum(
        box.low.flatten(1) @ w.clamp(min=0).T + box.high.flatten(1) @ w.clamp(max=0).T
        for box, w in zip(boxes, W, strict=True)
    )
    high = sum(
        box.high.flatten(1) @ w.clamp(min=0).T + box.low.flatten(1) @ w.clamp(max=0).T
        for box, w in zip(boxes, W, strict=True)
    )
    torch.testing.assert_close(interval.low.flatten(1), low + b, **close)
    torch.testing.assert_close(interval.high.flatten(1), high + b, **close)
    check_terms(layer, torch.cat(W, 1), b)


def check_terms(layer: Affine, W: Tensor, b: Tensor) -> None:
    """The numbers of terms, on which the room for rounding rests: a sum of n products takes n roundings."""
    with_bias = torch.cat([W, b[:, None].sign()], 1)
    assert roundings(with_bias) <= layer.terms
    assert roundings(W.T) <= layer.terms_back
    if layer.terms == 0:
        assert roundings(W.T) == 0
        assert (W != 0).sum(0).max() <= 1
    if layer.keeps_boxes:
        assert (W != 0).sum(0).max() <= 1
        assert (W != 0).sum(1).max() <= 1


def roundings(W: Tensor) -> int:
    """Of the longest sum in W a. A product with 1 or -1 takes none."""
    products = (W != 0) & (W.abs() != 1)
    return int((products.any(1) + ((W != 0).sum(1) - 1).clamp(min=0)).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_affine_layer_obeys_its_matrix(name: str) -> None:
    for layer, shapes in affine_layers(name):
        check(layer, shapes)


@settings(max_examples=40)
@given(data=st.data())
def test_any_convolution_obeys_its_matrix(data: st.DataObject) -> None:
    dims, transposed, groups = data.draw(st.integers(1, 3)), data.draw(st.booleans()), data.draw(st.integers(1, 2))
    few = st.lists(st.integers(1, 3), min_size=dims, max_size=dims).map(tuple)
    kernel, stride, dilation, size = (data.draw(few) for _ in range(4))
    padding = tuple(each - 1 for each in data.draw(few))
    most = [max(pair) - 1 if transposed else 0 for pair in zip(stride, dilation, strict=True)]
    more = tuple(data.draw(st.integers(0, each)) for each in most)
    weight = drawn([(2 * groups, 3, *kernel)], 0)[0][0]
    bias = drawn([(groups * (3 if transposed else 2),)], 1)[0][0] if data.draw(st.booleans()) else None
    layer = Convolution(weight, bias, stride, padding, dilation, transposed, more, groups)
    shape = (groups * (2 if transposed else 3), *(each + 2 for each in size))
    try:
        layer(torch.zeros(1, *shape, dtype=torch.float64))
    except RuntimeError:  # the kernel is larger than the image, or nothing is left
        assume(False)
    check(layer, [shape])
