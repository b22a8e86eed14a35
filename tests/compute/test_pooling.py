"""The quick max pooling is torch's, bit for bit, and its gradient too, ties included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from advtool.compute.pooling import QuickMaxPool2d
from advtool.compute.quick import quick_layers
from advtool.models.lenet import LeNet

SIDES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9))


def assert_is_torchs(x: Tensor, layer: nn.MaxPool2d, quick: nn.MaxPool2d) -> None:
    expected = layer(x)
    assert torch.equal(quick(x), expected)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    g = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    for each, pool in zip(inputs, (layer, quick), strict=True):
        y = pool(each)
        assert torch.equal(y, expected)
        y.backward(g)
    assert torch.equal(inputs[0].grad, inputs[1].grad)


@given(
    SIDES,
    st.integers(0, 2**32 - 1),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_windows_of_two_with_ties_odd_edges_and_nan(
    shape: tuple[int, ...], seed: int, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    """Few values, so that most windows have several largest pixels."""
    x = torch.randint(-1, 2, shape, generator=torch.Generator().manual_seed(seed)).to(dtype).to(memory_format=layout)
    assert_is_torchs(x, nn.MaxPool2d(2), QuickMaxPool2d(2))
    assert QuickMaxPool2d(2)(x).is_contiguous(memory_format=layout)
    x[0, 0, 0, 0] = torch.nan
    assert torch.equal(QuickMaxPool2d(2)(x).isnan(), nn.MaxPool2d(2)(x).isnan())


@pytest.mark.parametrize(
    "asked",
    [{"kernel_size": 3}, {"kernel_size": 2, "stride": 1}, {"kernel_size": 2, "padding": 1}, {"kernel_size": (2, 2)},
     {"kernel_size": 2, "dilation": 2}, {"kernel_size": 2, "ceil_mode": True}],
)  # fmt: skip
def test_other_windows_are_torchs_own(asked: dict[str, int]) -> None:
    x = torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    assert_is_torchs(x, nn.MaxPool2d(**asked), QuickMaxPool2d(**asked))


def test_gradients_in_other_layouts_and_other_inputs_are_torchs_own() -> None:
    x = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for each in (x.to(memory_format=torch.channels_last), x[0], x[:, :, ::2], x.transpose(2, 3)):
        assert_is_torchs(each, nn.MaxPool2d(2), QuickMaxPool2d(2))
        assert QuickMaxPool2d(2)(each).stride() == nn.MaxPool2d(2)(each).stride(), "a view behind it needs torch's"
    values, places = QuickMaxPool2d(2, return_indices=True)(x)
    assert torch.equal(values, nn.MaxPool2d(2)(x))
    assert places.dtype == torch.int64
    with pytest.raises(RuntimeError):
        QuickMaxPool2d(2)(x[:, :, :1])


def test_the_second_derivative() -> None:
    x = torch.rand(1, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradgradcheck(QuickMaxPool2d(2), x)


def test_a_lenet_is_quick_for_a_while() -> None:
    model = LeNet((1, 28, 28), 10)
    with quick_layers(model):
        assert sum(type(layer) is QuickMaxPool2d for layer in model.modules()) == 2
    assert sum(type(layer) is nn.MaxPool2d for layer in model.modules()) == 2
