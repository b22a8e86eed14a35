"""What tests of training share: a generator, a batch, short and stopped trainings, a comparison of trained models."""

from pathlib import Path

import torch
from torch import Tensor

from advtool import training
from advtool.data import Split
from advtool.training import Figures, Observer, Trained


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def batch(shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(shape, generator=generator), torch.arange(shape[0]) % classes


def short(split: Split, recipe: str = "both", **options: object) -> Trained:
    return training.train(split, recipe, **({"arch": "cnn", "epochs": 2, "batch_size": 16} | options))


def equal(a: Trained, b: Trained) -> bool:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


class StopsAfter(Observer):
    """Stops a training in an epoch, after it is measured and before its state is written."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.saved_at: list[Path] = []

    def epoch(self, figures: Figures, *, kept: bool) -> None:
        if figures.epoch == self.epochs:
            raise KeyboardInterrupt

    def saved(self, path: Path) -> None:
        self.saved_at.append(path)
