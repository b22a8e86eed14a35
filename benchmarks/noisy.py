"""Models made random: Gaussian noise before a checkpoint's model."""

import torch
from torch import Tensor, nn


class Noisy(nn.Module):
    """A model behind Gaussian noise at its input, clipped to [0, 1].

    Args:
        model: takes float (N, C, H, W) in [0, 1].
        deviation: of the noise.
        levels: pixels are rounded to so many grey levels after the noise, which leaves no gradient; None: they are not.
    """

    def __init__(self, model: nn.Module, deviation: float, levels: int | None = None) -> None:
        super().__init__()
        self.model, self.deviation, self.levels = model, deviation, levels

    def forward(self, x: Tensor) -> Tensor:
        noised = (x + self.deviation * torch.randn_like(x)).clamp(0, 1)
        if self.levels is not None:
            noised = (noised * (self.levels - 1)).round() / (self.levels - 1)
        logits: Tensor = self.model(noised)
        return logits
