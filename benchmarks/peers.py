"""The peers' attacks, on the model, images and settings that ours get, and what counts of their candidates.

Each gets its images in batches, and a frozen model, so that none computes gradients of weights. A peer is imported when
it attacks, so that a benchmark needs those alone that it asks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from attack_models import Subject
from torch import Tensor, nn

TOGETHER = 64
"""Pairs of SPSA's samples in one pass, torchattacks' default."""
LEARNING_RATE = 0.01  # of SPSA's Adam: everybody's default


class Settings(NamedTuple):
    """How hard an attack tries."""

    steps: int
    samples: int = 0
    draws: int = 1
    """more than 1 for a random model"""
    batch: int = 128
    """images a pass of a peer; ours chooses its own"""
    seed: int | None = None
    """of AutoAttack, the only peer that takes one"""


Attack = Callable[[nn.Module, Subject, Settings], Tensor]
"""From a model to the candidates (N, C, H, W)."""


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor, votes: int) -> Tensor:
    """By the prediction rule of ``advtool``: the arg max of the mean softmax over the votes."""
    return torch.stack([model(x).softmax(1) for _ in range(votes)]).mean(0).argmax(1) == y


def standing(model: nn.Module, given: Subject, found: Tensor, votes: int) -> Tensor:
    """Which images are right before and after, bool (N,). A candidate outside the ball does not count."""
    inside = (found - given.x).abs().flatten(1).amax(1) <= given.eps + 1e-6
    clean, after = (correct(model, images, given.y, votes) for images in (given.x, found))
    return clean & (after | ~inside)


def in_batches(attack: Callable[[Tensor, Tensor], Tensor], given: Subject, size: int) -> Tensor:
    return torch.cat([attack(x, y) for x, y in zip(given.x.split(size), given.y.split(size), strict=True)])


def torchattacks_pgd(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    import torchattacks

    step = 2 * given.eps / how.steps
    if how.draws == 1:
        return in_batches(torchattacks.PGD(model, given.eps, step, how.steps), given, how.batch)
    return in_batches(torchattacks.EOTPGD(model, given.eps, step, how.steps, how.draws), given, how.batch)


def foolbox_pgd(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=2 * given.eps / how.steps, steps=how.steps, random_start=True)
    subject = foolbox.PyTorchModel(model, bounds=(0, 1), device=given.x.device)
    return in_batches(lambda x, y: attack(subject, x, y, epsilons=given.eps)[1], given, how.batch)


def cleverhans_pgd(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    from cleverhans.torch.attacks.projected_gradient_descent import projected_gradient_descent

    def attack(x: Tensor, y: Tensor) -> Tensor:
        step = 2 * given.eps / how.steps
        # its checks compare with np.all of tensors, which fails on a GPU
        return projected_gradient_descent(
            model, x, given.eps, step, how.steps, np.inf, clip_min=0, clip_max=1, y=y, sanity_checks=False
        ).detach()

    return in_batches(attack, given, how.batch)


class Looping(PyTorchClassifier):
    """ART's estimator with a gradient that averages over draws, taken one by one."""

    draws = 1

    def loss_gradient(self, x: Any, y: Any, **kwargs: Any) -> Any:
        return sum(super(Looping, self).loss_gradient(x, y, **kwargs) for _ in range(self.draws)) / self.draws


def art_pgd(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    device = "gpu" if given.x.is_cuda else "cpu"
    shape, classes = tuple(given.x.shape[1:]), int(model(given.x[:1]).shape[1])
    classifier = Looping(model, nn.CrossEntropyLoss(), shape, classes, clip_values=(0, 1), device_type=device)
    classifier.draws = how.draws
    attack = ProjectedGradientDescentPyTorch(
        classifier,
        eps=given.eps,
        eps_step=2 * given.eps / how.steps,
        max_iter=how.steps,
        num_random_init=1,
        batch_size=how.batch,
        verbose=False,
    )
    return torch.from_numpy(attack.generate(given.x.cpu().numpy(), given.y.cpu().numpy())).to(given.x.device)


def torchattacks_spsa(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    import torchattacks

    pairs = how.samples // 2
    attack = torchattacks.SPSA(
        model, given.eps, lr=LEARNING_RATE, nb_iter=how.steps, nb_sample=pairs, max_batch_size=min(TOGETHER, pairs)
    )
    return in_batches(attack, given, max(1, how.batch // TOGETHER))


def cleverhans_spsa(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    from cleverhans.torch.attacks.spsa import spsa

    with torch.no_grad():
        return spsa(
            model,
            given.x,
            given.eps,
            how.steps,
            clip_min=0,
            clip_max=1,
            y=given.y,
            learning_rate=LEARNING_RATE,
            spsa_samples=how.samples // 2,
            sanity_checks=False,
        )


def autoattack(model: nn.Module, given: Subject, how: Settings) -> Tensor:
    from pyautoattack import AutoAttack

    version, device = "rand" if how.draws > 1 else "standard", str(given.x.device)
    attack = AutoAttack(model, norm="Linf", eps=given.eps, version=version, seed=how.seed, device=device)
    found = attack.run_standard_evaluation(given.x, given.y, batch_size=how.batch)
    return found[0] if isinstance(found, tuple) else found


PEERS: dict[str, dict[str, Attack]] = {
    "pgd": {
        "torchattacks": torchattacks_pgd,
        "Foolbox": foolbox_pgd,
        "CleverHans": cleverhans_pgd,
        "ART": art_pgd,
    },
    "pgd+eot": {"torchattacks": torchattacks_pgd, "ART": art_pgd},
    "spsa": {"torchattacks": torchattacks_spsa, "CleverHans": cleverhans_spsa},
    "audit": {"AutoAttack": autoattack},
}
