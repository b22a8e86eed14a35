"""The layout in which a model computes."""

import pytest
import torch
from torch import nn

from advtool.compute import precision


@pytest.mark.parametrize("channels", [3, 4, 8, 12])
def test_a_model_that_samples_few_channels_trains_on_contiguous_tensors(channels: int) -> None:
    stem, sampling = nn.Conv2d(1, channels, 3, padding=1), nn.Conv2d(channels, 8, 1, stride=2)
    model = nn.Sequential(stem, sampling, nn.Flatten(), nn.Linear(8 * 14 * 14, 3))
    found = precision.training_layout(model, torch.device("cpu"))
    assert found == (torch.contiguous_format if channels < 8 else torch.channels_last)
    x = torch.randn(36, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model.to(memory_format=found)(x.to(memory_format=found)).square().mean().backward()
    with torch.no_grad():
        inputs = stem(x)
    sampled = sampling(inputs)
    given, *_ = torch.autograd.grad(model[3](sampled.flatten(1)).square().mean(), sampled)
    expected = torch.einsum("nohw,nihw->oi", given, inputs[:, :, ::2, ::2])
    torch.testing.assert_close(sampling.weight.grad[:, :, 0, 0], expected, rtol=1e-3, atol=1e-6)
