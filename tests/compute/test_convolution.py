"""The quick convolution is torch's own, gradients included."""

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from advtool.compute.convolution import QuickConv2d
from advtool.target.state import State


def quick(layer: nn.Conv2d) -> nn.Conv2d:
    other = copy.deepcopy(layer)
    other.__class__ = QuickConv2d
    return other


def outputs_and_gradients(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    given = [leaf, *layer.parameters()]
    return [y, *torch.autograd.grad((y**3).sum(), given)]


SHAPES = [
    shape
    for shape in itertools.product((1, 3, 16), (1, 3, 4, 5, 7), (1, 2, 3), (0, 1, 2, 3), (9, 28))
    if shape[3] < shape[1]
]


@pytest.mark.parametrize(("channels", "kernel", "stride", "padding", "size"), SHAPES)
def test_outputs_and_gradients_are_those_of_conv2d(
    channels: int, kernel: int, stride: int, padding: int, size: int
) -> None:
    torch.manual_seed(0)
    theirs = nn.Conv2d(channels, 5, kernel, stride, padding).double()
    x = torch.rand(2, channels, size, size + 1, dtype=torch.float64)
    for given, expected in zip(outputs_and_gradients(quick(theirs), x), outputs_and_gradients(theirs, x), strict=True):
        torch.testing.assert_close(given, expected)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(2, 3, 3, dilation=2),
        nn.Conv2d(2, 3, (3, 5)),
        nn.Conv2d(2, 3, 3, padding="same"),
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 3, 3, stride=(1, 2)),
        nn.Conv2d(1, 3, 3, bias=False),
    ],
)
def test_other_convolutions_are_left_to_torch(layer: nn.Conv2d) -> None:
    layer = layer.double()
    x = torch.rand(2, layer.in_channels, 8, 8, dtype=torch.float64)
    for given, expected in zip(outputs_and_gradients(quick(layer), x), outputs_and_gradients(layer, x), strict=True):
        torch.testing.assert_close(given, expected)


def test_channels_last() -> None:
    layer = nn.Conv2d(3, 8, 5, padding=2).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    for given, expected in zip(outputs_and_gradients(quick(layer), x), outputs_and_gradients(layer, x), strict=True):
        torch.testing.assert_close(given, expected)


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "block"),
    [(1, 5, 1, 4), (1, 4, 2, 4), (3, 3, 1, 2), (16, 4, 2, 2), (64, 3, 1, 1), (64, 3, 2, 1), (64, 1, 2, 1)],
)
def test_blocks_where_they_pay(channels: int, kernel: int, stride: int, block: int) -> None:
    assert QuickConv2d(channels, 2, kernel, stride).block == block


def test_the_kernels_of_a_frozen_weight_follow_its_values_and_type() -> None:
    layer = QuickConv2d(2, 3, 4, stride=2, padding=1).requires_grad_(False)
    for change in (lambda: None, lambda: layer.weight.mul_(2), layer.double, layer.float):
        change()
        x = torch.rand(2, 2, 8, 8, dtype=layer.weight.dtype, requires_grad=True)
        expected = torch.autograd.grad(nn.functional.conv2d(x, layer.weight, layer.bias, 2, 1).square().sum(), x)
        torch.testing.assert_close(torch.autograd.grad(layer(x).square().sum(), x), expected)


def test_function_transforms() -> None:
    layer, x = QuickConv2d(1, 3, 4, stride=2, padding=1), torch.rand(2, 1, 8, 8)
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(layer(leaf).square().sum(), leaf)[0]
    torch.testing.assert_close(torch.func.grad(lambda image: layer(image).square().sum())(x), expected)


def test_second_derivatives() -> None:
    layer = QuickConv2d(2, 3, 4, stride=2, padding=1).double()
    x = torch.rand(2, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, x)


def test_bfloat16_goes_the_ordinary_way() -> None:
    layer = QuickConv2d(1, 3, 4, stride=2, padding=1)
    x = torch.rand(2, 1, 4, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad is not None
    layer.bfloat16()(x.bfloat16()).sum().backward()
    assert layer.weight.grad is not None


def test_a_changed_weight_is_noticed_and_nothing_shows_in_the_layers_state() -> None:
    layer = QuickConv2d(1, 3, 4, stride=2, padding=1).requires_grad_(False)
    x = torch.rand(2, 1, 8, 8)
    before = State(layer)
    first = _input_gradient(layer, x)
    assert before.changed() == []
    version = layer.weight._version
    layer.weight.data.mul_(2)
    assert layer.weight._version == version, "as after a step of a fused optimiser"
    torch.testing.assert_close(_input_gradient(layer, x), 2 * first)


def _input_gradient(layer: nn.Conv2d, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(layer(leaf).sum(), leaf)[0]
