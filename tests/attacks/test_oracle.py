"""Our PGD against ART's own, on a stored model and real images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import nn

import advtool
from advtool.data import load, to_float


@pytest.mark.parametrize("eps", [0.05, 0.1])
def test_our_pgd_is_as_strong_as_arts_on_500_images(digits_checkpoint: Path, eps: float) -> None:
    """Equal steps, step size and restarts; each counts an image as robust if its final verdict is right."""
    model = advtool.load_checkpoint(digits_checkpoint)
    split = load("digits", "train")[:500]
    x, y = to_float(split.images), split.labels
    ours = advtool.evaluate(model, x, y, eps=eps, attacks=["pgd(steps=20, restarts=2)"]).attacks[0].robust
    theirs = robust_under_arts_pgd(model, x, y, eps=eps, steps=20, restarts=2)
    assert 25 < theirs < 475, "the model decides nothing"
    assert abs(ours - theirs) <= 5  # 0 or 1 here, whatever the seed


def robust_under_arts_pgd(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, eps: float, steps: int, restarts: int
) -> int:
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), x.shape[1:], 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    np.random.seed(0)
    attack = ProjectedGradientDescentPyTorch(
        classifier,
        eps=eps,
        eps_step=2 * eps / steps,
        max_iter=steps,
        num_random_init=restarts,
        batch_size=100,
        verbose=False,
    )
    found = torch.from_numpy(attack.generate(x.numpy(), y.numpy()))
    with torch.no_grad():
        return int(((model(x).argmax(1) == y) & (model(found).argmax(1) == y)).sum())
