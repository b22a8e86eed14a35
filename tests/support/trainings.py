"""What tests of training share: a generator, a batch, a short training, and a comparison of trained models."""

import torch
from torch import Tensor

from advtool import training
from advtool.data import Split
from advtool.training import Trained


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
