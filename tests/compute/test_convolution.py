"""The quick convolution is torch's own, gradients included."""

import copy
import itertools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from advtool.compute.convolution import QuickConv2d
from advtool.compute.quick import quick_layers
from advtool.target.state import State


def quick(layer: nn.Conv2d) -> nn.Conv2d:
    other = copy.deepcopy(layer)
    other.__class__ = QuickConv2d
    return other


def outputs_and_gradients(layer: nn.Conv2d, x: Tensor) -> list[Tensor]:
    leaf = x.clone().requires_grad_()
    y = layer(leaf)
    return [y, *torch.autograd.grad((y**3).sum(), [leaf, *layer.parameters()])]


def assert_is_torchs(layer: nn.Conv2d, x: Tensor) -> None:
    """The quick layer gives torch's outputs, input gradient and parameter gradients."""
    torch.testing.assert_close(outputs_and_gradients(quick(layer), x), outputs_and_gradients(layer, x))


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
    assert_is_torchs(theirs, x)


sides = st.integers(1, 5) | st.integers(1, 5) | st.tuples(st.integers(1, 5), st.integers(1, 5))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(max_examples=200)
@given(
    channels=st.integers(1, 4),
    outputs=st.integers(1, 3),
    kernel=sides,
    stride=sides,
    padding=st.integers(0, 7) | st.integers(0, 2) | st.sampled_from(["same", "valid", (0, 1)]),
    dilation=st.sampled_from([1, 1, 1, 2, (1, 2)]),
    groups=st.sampled_from([1, 1, 1, 2]),
    mode=st.sampled_from(["zeros", "zeros", "zeros", "circular", "replicate"]),
    bias=st.booleans(),
    image=st.tuples(st.integers(5, 12), st.integers(5, 12)),
    batch=st.sampled_from([(), (1,), (3,)]),
)
def test_any_convolution_has_torchs_outputs_and_gradients(
    channels: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: str | int | tuple[int, int],
    dilation: int | tuple[int, int],
    groups: int,
    mode: str,
    bias: bool,
    image: tuple[int, int],
    batch: tuple[int, ...],
) -> None:
    assume(padding != "same" or stride in (1, (1, 1)))
    torch.manual_seed(0)
    layer = nn.Conv2d(
        channels * groups, outputs * groups, kernel, stride, padding, dilation, groups, bias, mode, dtype=torch.float64
    )
    x = torch.rand(*batch, channels * groups, *image, dtype=torch.float64)
    try:
        layer(x)
    except RuntimeError:  # no room for the kernel, or more circular padding than image
        assume(False)
    assert_is_torchs(layer, x)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 1), (1, 2, 1), (2, 1, 2), (2, 2, 3), (3, 1, 5)])
def test_padding_of_the_kernels_size_or_more(kernel: int, stride: int, padding: int) -> None:
    layer = nn.Conv2d(1, 2, kernel, stride, padding).double()
    assert_is_torchs(layer, torch.rand(2, 1, 6, 7, dtype=torch.float64))


def test_a_relu_may_overwrite_the_output() -> None:
    layer, x = nn.Conv2d(1, 3, 4, stride=2, padding=1), torch.rand(2, 1, 8, 8, requires_grad=True)
    gradients, expected = (
        torch.autograd.grad(each(x).relu_().square().sum(), [x, *each.parameters()]) for each in (quick(layer), layer)
    )
    torch.testing.assert_close(gradients, expected)


def test_the_layers_are_quick_for_a_while() -> None:
    class Own(nn.Conv2d):
        pass

    model = nn.Sequential(nn.Conv2d(1, 2, 3), QuickConv2d(2, 2, 3), Own(2, 2, 3))
    with quick_layers(model):
        assert [type(layer) for layer in model] == [QuickConv2d, QuickConv2d, Own]
    assert [type(layer) for layer in model] == [nn.Conv2d, QuickConv2d, Own]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(2, 3, 3, dilation=2),
        nn.Conv2d(2, 3, (3, 5)),
        nn.Conv2d(2, 3, 3, padding="same"),
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 3, 3, stride=(1, 2)),
    ],
)
def test_other_convolutions_are_left_to_torch(layer: nn.Conv2d) -> None:
    layer = layer.double()
    assert quick(layer).block == 1
    assert_is_torchs(layer, torch.rand(2, layer.in_channels, 8, 8, dtype=torch.float64))


def test_channels_last() -> None:
    layer = nn.Conv2d(3, 8, 5, padding=2).to(memory_format=torch.channels_last)
    assert_is_torchs(layer, torch.rand(2, 3, 9, 9).contiguous(memory_format=torch.channels_last))


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
