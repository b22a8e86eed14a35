"""Nets of other groups, from a folder: ``nets.py`` has a factory for each, and ``NAME.safetensors`` its weights."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file
from torch import nn

NETS = {
    "kw_mnist": ("mnist", 0.1),
    "kw_fashion_mnist": ("fashion-mnist", 0.1),
    "fast_mnist_fgsm": ("mnist", 0.3),
    "colt_mnist": ("mnist", 0.1),
    "sdp_mnist_mlp": ("mnist", 0.1),
    "pgd_mnist_lenet": ("mnist", 0.3),
    "resnet2b_cifar": ("cifar10", 2 / 255),
    "mnistfc_2": ("mnist", 0.05),
    "mnistfc_4": ("mnist", 0.05),
    "mnistfc_6": ("mnist", 0.05),
}
"""By the name of a net: its data set, and eps."""


class Subject(NamedTuple):
    """A model with its images."""

    name: str
    model: nn.Module
    dataset: str
    eps: float


def net(folder: Path, name: str) -> nn.Module:
    """A net of a folder with its trained weights, frozen and in eval mode."""
    spec = importlib.util.spec_from_file_location("strangers_nets", folder / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = getattr(module, name)()
    model.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return model.eval().requires_grad_(False)


def nets(folder: Path) -> Iterator[Subject]:
    """The nets of a folder."""
    for name, (dataset, eps) in NETS.items():
        yield Subject(name, net(folder, name), dataset, eps)
