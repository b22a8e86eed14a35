"""The CNN's strided convolution is torch's own, gradients included."""

import pytest
import torch
from torch import nn

from advtool.models.strided import StridedConv2d


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (6, 10), (7, 8), (9, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_and_gradients_are_those_of_conv2d(size: tuple[int, int], channels: int) -> None:
    torch.manual_seed(0)
    ours = StridedConv2d(channels, 5).double()
    theirs = nn.Conv2d(channels, 5, 4, stride=2, padding=1).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(3, channels, *size, dtype=torch.float64)
    results = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        (y**3).sum().backward()
        results.append([y.detach(), leaf.grad, layer.weight.grad, layer.bias.grad])
    for given, expected in zip(*results, strict=True):
        torch.testing.assert_close(given, expected)


def test_second_derivatives() -> None:
    layer = StridedConv2d(2, 3).double()
    x = torch.rand(2, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, x)


def test_bfloat16_goes_the_ordinary_way() -> None:
    layer = StridedConv2d(1, 3)
    x = torch.rand(2, 1, 4, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad is not None
    layer.bfloat16()(x.bfloat16()).sum().backward()
    assert layer.weight.grad is not None
