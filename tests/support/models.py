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
    """A model behind Gaussian noise, drawn for each image, or once a call for all of them."""

    def __init__(self, model: nn.Module, scale: float, *, once_a_call: bool = False) -> None:
        super().__init__()
        self.model, self.scale, self.once_a_call = model, scale, once_a_call

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + self.scale * torch.randn_like(x[:1] if self.once_a_call else x))


class Cheat(nn.Sequential):
    """A Sequential whose own forward differs from its children's chain: it answers for the mirrored image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(1 - x)


def mlp(shape: tuple[int, int, int] = (1, 4, 4), classes: int = 4, seed: int = 0) -> nn.Sequential:
    """A little network with random weights, the same for the same seed."""
    size = shape[0] * shape[1] * shape[2]
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, classes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


LEVELS = 15


class Scaled(nn.Module):
    """The same answers from logits so large that float32's softmax is exactly 0 and 1."""

    def __init__(self, model: nn.Module, scale: float = 1000) -> None:
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.model(x)


class Rounded(nn.Module):
    """A model behind an input of 16 levels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(torch.round(x * LEVELS) / LEVELS)
