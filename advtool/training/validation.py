"""What is measured after every epoch, on images that training never sees, and which epoch is the best."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from advtool.data import Split, to_float
from advtool.training.examples import Examples

BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One epoch: number from 1, mean training loss, validation accuracies in [0, 1], wall time in seconds."""

    epoch: int
    loss: float
    clean: float
    adversarial: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint's card."""
        return asdict(self)


def best(history: Sequence[Figures], keep_by: Literal["clean", "adversarial"]) -> Figures:
    """The epoch of the highest accuracy ``keep_by``; ties: higher clean accuracy, then the later epoch."""
    return max(history, key=lambda figures: (getattr(figures, keep_by), figures.clean, figures.epoch))


def accuracies(
    model: nn.Module, split: Split, examples: Examples, *, eps: float, generator: torch.Generator
) -> tuple[float, float]:
    """Clean accuracy, and accuracy on ``examples`` made in eval mode; fractions in [0, 1].

    ``split`` lies on the model's device. The model is left in eval mode.
    """
    model.eval()
    correct = torch.zeros(2, dtype=torch.int64, device=split.labels.device)
    for images, y in zip(split.images.split(BATCH), split.labels.split(BATCH), strict=True):
        x = to_float(images)
        x_adv = examples(model, x, y, eps=eps, generator=generator)
        correct += torch.stack([_correct(model, x, y), _correct(model, x_adv, y)])
    clean, adversarial = (correct / len(split)).tolist()
    return clean, adversarial


@torch.no_grad()
def _correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits: Tensor = model(x)
    return (logits.argmax(dim=1) == y).sum()
