"""Small models whose behaviour under attack is known."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """``logits = W x + b`` on flattened images."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


class NoisyInput(nn.Module):
    """A model behind Gaussian noise, drawn for each image, or once a call for all images together."""

    def __init__(self, model: nn.Module, scale: float, *, once_a_call: bool = False) -> None:
        super().__init__()
        self.model, self.scale, self.once_a_call = model, scale, once_a_call

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + self.scale * torch.randn_like(x[:1] if self.once_a_call else x))


class Cheat(nn.Sequential):
    """A Sequential with a forward of its own: it calls its children with the inverted image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(1 - x)


def mlp(shape: tuple[int, int, int] = (1, 4, 4), classes: int = 4, seed: int = 0) -> nn.Sequential:
    """A small network with random weights; equal seeds give equal weights."""
    size = shape[0] * shape[1] * shape[2]
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, classes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


LEVELS = 15
"""``Rounded`` rounds pixels to multiples of 1 / LEVELS."""


class Scaled(nn.Module):
    """A model with the same predictions and logits so large that softmax outputs are exactly 0 and 1 in float32."""

    def __init__(self, model: nn.Module, scale: float = 1000) -> None:
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.model(x)


class Rounded(nn.Module):
    """A model behind pixels that are rounded to 16 levels, so its gradient is zero everywhere."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(torch.round(x * LEVELS) / LEVELS)
