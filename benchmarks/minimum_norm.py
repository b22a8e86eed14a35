"""How near are the adversarial examples that minimum-norm attacks find, ours beside the peers'?

    ADVTOOL_DATA=folder python benchmarks/minimum_norm.py CHECKPOINT... [--nets FOLDER] [--net NAME]... [--attack NAME]...

On AttackBench's terms (Cina et al. 2024): L-infinity, at most 2,000 propagations an image, a forward and a backward pass
of an image being one each. Each attack is set so that it keeps within this, and a wrapper around the model counts. Every
example is verified by the model itself and has its own distance. An image without an example counts as distance 1, and
a misclassified image is left out. A Markdown table goes to stdout: the median and the mean distance, the mean of the
seeds; optimality, which is AttackBench's: how near the curve of robust accuracy against eps is to that of the best of
all attacks and seeds, image by image (1 is equal, 0 no better than the clean accuracy); and the propagations of an
image.
"""

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import foolbox
import torch
from adv_lib.attacks.auto_pgd import minimal_apgd
from adv_lib.attacks.fast_minimum_norm import fmn
from adv_lib.attacks.primal_dual_gradient_descent import pdpgd
from planted import NETS, Subject, checkpoints, nets
from torch import Tensor, nn

import advtool
from advtool.data import first_images, load, to_float

PROPAGATIONS = 2000
STEPS = PROPAGATIONS // 2
"""of a gradient attack: each costs a forward and a backward pass"""


class Counting(nn.Module):
    """The model, with its forward and backward passes counted in images."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.forwards, self.backwards = net, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        logits: Tensor = self.net(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


Attack = Callable[[nn.Module, Tensor, Tensor, int], Tensor]
"""From a model, images (N, C, H, W), labels (N,) and a seed to the nearest examples that it found, (N, C, H, W)."""


def ours(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> Tensor:
    """``advtool sweep eps --per-image`` with its defaults."""
    raise NotImplementedError


def adv_lib(attack: Callable[..., Tensor], **settings: Any) -> Attack:
    return lambda model, x, y, seed: attack(model, x, y, float("inf"), **settings)


def foolbox_attack(attack: Any) -> Attack:
    def run(model: nn.Module, x: Tensor, y: Tensor, seed: int) -> Tensor:
        found = attack(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=None)[0]
        return torch.as_tensor(found).detach()

    return run


ATTACKS: dict[str, Attack] = {
    "ours": ours,
    "adv-lib FMN": adv_lib(fmn, steps=STEPS, α_init=10, γ_init=0.05),
    "adv-lib FMN, step 1": adv_lib(fmn, steps=STEPS, α_init=1.0, γ_init=0.05),
    "adv-lib PDPGD": adv_lib(pdpgd, num_steps=STEPS),
    "adv-lib APGD, bisected": adv_lib(
        minimal_apgd, max_eps=1.0, binary_search_steps=10, n_iter=STEPS // 10 - 1, loss_function="dlr"
    ),
    "adv-lib targeted APGD, bisected": adv_lib(
        minimal_apgd, max_eps=1.0, binary_search_steps=8, n_iter=STEPS // 8 // 9 - 1, targeted_version=True,
        num_targets=9,
    ),
    "Foolbox FMN": foolbox_attack(foolbox.attacks.LInfFMNAttack(steps=STEPS)),
    "Foolbox Brendel-Bethge": foolbox_attack(
        foolbox.attacks.LinfinityBrendelBethgeAttack(
            init_attack=foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(), steps=STEPS
        )
    ),
    "Foolbox DeepFool": foolbox_attack(foolbox.attacks.LinfDeepFoolAttack(steps=50, candidates=10)),
}
"""FMN, PDPGD and Brendel-Bethge as AttackBench configures them, with as many steps as the propagations allow."""
