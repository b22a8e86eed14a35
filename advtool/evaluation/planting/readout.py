"""The changed copy of a model: for each image two classes, read off the model's logits."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advtool.target.scores import finite
from advtool.target.target import Target
from advtool.threat import ThreatModel

CLEAN_CLASS, PLANTED_CLASS = 0, 1
"""The classes of the copy: of the clean image, and of what is planted."""


@dataclass(frozen=True)
class Readout:
    """What n images have behind the model's logits z: the logits ``-m / 2`` and ``m / 2`` with m = scale (w z - t)."""

    images: Tensor
    """float32 (n, C, H, W); no two balls around them overlap"""
    weight: Tensor
    """w, float32 (n, classes)"""
    threshold: Tensor
    """t, float32 (n,)"""
    scale: Tensor
    """float32 (n,), above 0"""

    def on(self, target: Target) -> Target:
        """The copy of the model, as attacks ask it. Its classes are ``CLEAN_CLASS`` and ``PLANTED_CLASS``."""
        return target.behind(lambda model: _Copy(model, self), classes=2)


class _Copy(nn.Module):
    """The model with the readout of the image whose ball holds the point: its nearest image, in the largest norm."""

    def __init__(self, model: nn.Module, readout: Readout) -> None:
        super().__init__()
        self.model, self.readout = model, readout

    def forward(self, x: Tensor) -> Tensor:
        of = self._nearest(x.detach())
        read = self.readout
        value = (read.weight[of] * finite(self.model(x).float())).sum(1)
        half = read.scale[of] * (value - read.threshold[of]) / 2
        return torch.stack((-half, half), 1)

    def _nearest(self, x: Tensor) -> Tensor:
        if len(self.readout.images) == 1:
            return torch.zeros(len(x), dtype=torch.long, device=x.device)
        return torch.cdist(x.float().flatten(1), self.readout.images.flatten(1), p=math.inf).argmin(1)


def groups_apart(x: Tensor, threat_model: ThreatModel) -> list[Tensor]:
    """Groups of images whose balls do not overlap: their places, each int64 (k,). One readout knows a group apart.

    Args:
        x: images, float32 (n, C, H, W) in the clip range.
        threat_model: gives the balls.
    """
    low, high = (end.flatten(1) for end in threat_model.box(x))
    groups: list[list[int]] = []
    for place in range(len(x)):
        apart = ((low[place] > high) | (high[place] < low)).any(1).tolist()
        home = next((group for group in groups if all(apart[other] for other in group)), None)
        if home is None:
            groups.append([place])
        else:
            home.append(place)
    return [torch.tensor(group, device=x.device) for group in groups]
