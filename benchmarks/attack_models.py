"""The models that attacks are timed on: trained for a short time, and kept in a folder."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from advtool import load_checkpoint
from advtool.data import first_images, load, to_float
from advtool.models.registry import ARCHITECTURES, Entry
from advtool.training.session import train

DATASETS = {"strided": "mnist", "conv5": "mnist", "resnet11": "cifar10"}
EPS = {"mnist": 0.1, "cifar10": 8 / 255}
PLAIN_EPS = EPS | {"mnist": 0.3}
"""At which most images of a plain model fall early: the papers' radius on MNIST. At 0.1 a quarter stands to the end."""
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "robust": ("nfgsm", {}),
    "plain": ("clean", {}),
    "random": ("nfgsm", {"pnil": True}),
}
"""How a kind of model is trained: with NFGSM, on clean images alone, and with NFGSM behind a PNIL."""
LENGTHS: dict[str, dict[str, Any]] = {
    "mnist": {"limit": 20_000, "epochs": 10, "batch_size": 100},
    "cifar10": {"limit": 6400, "epochs": 1, "batch_size": 32},
}


class Subject(NamedTuple):
    """A model in eval mode, frozen, and its test images."""

    name: str
    model: nn.Module
    x: Tensor
    """float32 (N, C, H, W) in [0, 1]"""
    y: Tensor
    """int64 (N,)"""
    eps: float


def conv5(input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two 5x5 convolutions with 32 and 64 filters, each with ReLU and max pooling, and a linear layer."""
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), classes),
    )


def subject(arch: str, kind: str, images: int, folder: Path, device: str) -> Subject:
    """The model ``arch`` ("strided", "conv5", "resnet11") of a kind, trained if ``folder`` has none."""
    dataset = DATASETS[arch]
    path = folder / f"{dataset}-{arch}-{kind}.safetensors"
    if not path.exists():
        _train(path, arch, kind, device)
    model = load_checkpoint(path).requires_grad_(False).to(device)
    test = first_images(load(dataset, "test"), images)
    x, y = to_float(test.images).to(device), test.labels.to(device)
    eps = PLAIN_EPS if kind == "plain" else EPS
    return Subject(f"{arch} {kind}", model, x, y, eps[dataset])


def _train(path: Path, arch: str, kind: str, device: str) -> None:
    dataset, (recipe, settings) = DATASETS[arch], RECIPES[kind]
    print(f"training {path.name}", file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    train(
        dataset,
        recipe,
        eps=EPS[dataset],
        device=device,
        output=path,
        arch={"strided": "cnn"}.get(arch, arch),
        **settings,
        **LENGTHS[dataset],
    )


ARCHITECTURES["conv5"] = Entry(conv5, 4)
