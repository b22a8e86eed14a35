"""Nets that other groups trained, and the images whose verdict complete verifiers agree on."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

DATA = {"kw_fashion_mnist": "fashion-mnist", "resnet2b_cifar": "cifar10"}
"""The data set of each net; MNIST unless it stands here."""


def net(nets_dir: Path, name: str) -> nn.Module:
    """A net with its weights, in eval mode."""
    spec = importlib.util.spec_from_file_location("strangers_nets", nets_dir / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = getattr(module, name)()
    model.load_state_dict(load_file(nets_dir / f"{name}.safetensors"))
    return model.eval()


def instances(nets_dir: Path, name: str, verdict: str) -> list[dict[str, Any]]:
    """The images of a net that complete verifiers call ``robust`` or ``breakable``."""
    every = json.loads((nets_dir / "instances.json").read_text())
    return [each for each in every if each["net"] == name and each["verdict"] == verdict]


def by_eps(chosen: list[dict[str, Any]], data_dir: Path) -> dict[float, tuple[Tensor, Tensor]]:
    """The images (N, C, H, W) and labels (N,) of instances of one net, by their eps."""
    with np.load(data_dir / f"{DATA.get(chosen[0]['net'], 'mnist')}.npz") as archive:
        pixels = archive[f"x_{chosen[0]['split']}"]
    found = {}
    for eps in sorted({each["eps"] for each in chosen}):
        here = [each for each in chosen if each["eps"] == eps]
        x = torch.from_numpy(pixels[[each["index"] for each in here]]).float() / 255
        x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2)
        found[eps] = (x, torch.tensor([each["label"] for each in here]))
    return found
