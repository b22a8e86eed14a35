"""A model's normalisation as its first layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from advtool.results import notation


class Normalise(nn.Module):
    """``(x - mean) / std`` for images float (N, C, H, W).

    Mean and standard deviation are not in the state dict, so weights of the model behind this layer still fit.

    Args:
        mean: one value, or one for each channel.
        std: one value, or one for each channel; above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


def normalisation_of(model: nn.Module) -> Normalise | None:
    """The normalisation in front of a model; None if it has none of ours."""
    return next((module for module in model.modules() if isinstance(module, Normalise)), None)


def channels_hint(model: nn.Module, channels: int) -> str:
    """What to do about a model that does not take images, if its normalisation is for other images; else empty.

    Nobody is refused for it alone: three values make three channels of a grey image, as some models want.

    Args:
        model: with or without a normalisation.
        channels: of the images.
    """
    first = normalisation_of(model)
    values = 1 if first is None else max(len(first.mean), len(first.std))
    if values in (1, channels):
        return ""
    return (
        f" (the normalisation has {values} values and the images {notation.counted(channels, 'channel')}: give --mean "
        "and --std one value, or one for each channel)"
    )
