"""How near are the adversarial examples that minimum-norm attacks find, ours beside the peers'?

    ADVTOOL_DATA=folder python benchmarks/minimum_norm.py CHECKPOINT... [--nets FOLDER --net NAME...] --keep FOLDER

On AttackBench's terms (Cina et al. 2024): L-infinity and 2,000 propagations an image, of which two peers take up to
ten more; a forward and a backward pass of an image are one each, and a wrapper around the model counts them. The model
itself verifies every example, and each has its own distance. An image without an example counts as distance 1.
Misclassified images are left out.

A Markdown table goes to stdout, each figure the mean over the seeds: the median and the mean distance; how far
the mean is above that of the nearest example of all attacks and seeds, image by image, and the share of images within
1 % of it; propagations and seconds an image. ``--keep`` keeps the distances, so that a later call
measures what is missing.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import foolbox
import torch
from adv_lib.attacks.auto_pgd import minimal_apgd
from adv_lib.attacks.fast_minimum_norm import fmn
from adv_lib.attacks.primal_dual_gradient_descent import pdpgd
from planted import checkpoints
from strangers import Subject, nets
from torch import Tensor, nn

import advtool
from advtool.data import first_images, load, to_float

STEPS = 1000
"""Gradient steps for 2,000 propagations."""
SEARCHES = 10
"""Balls that a bisection with APGD tries; each of them takes a tenth of the steps."""


class Counting(nn.Module):
    """The model, and how many images went through it forward and backward."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.passes = net, 0

    def forward(self, x: Tensor) -> Tensor:
        self._count(x)
        logits: Tensor = self.net(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, rows: Tensor) -> None:
        self.passes += len(rows)


class Measured(NamedTuple):
    """What one attack did with one seed."""

    distances: list[float]
    propagations: float
    seconds: float
    """both for an image"""


Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""From a model, images (N, C, H, W) and labels (N,) to the nearest examples that it found, (N, C, H, W)."""


class Peer(NamedTuple):
    """An attack of another package."""

    attack: Attack
    is_random: bool = False


def adv_lib(attack: Callable[..., Tensor], **settings: Any) -> Attack:
    return lambda model, x, y: attack(model, x, y, float("inf"), **settings)


def of_foolbox(attack: Any) -> Attack:
    def run(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return torch.as_tensor(attack(foolbox.PyTorchModel(model.eval(), bounds=(0, 1)), x, y, epsilons=None)[0])

    return run


OURS = "ours"
PEERS = {
    "adv-lib FMN": Peer(adv_lib(fmn, steps=STEPS, α_init=10)),
    "adv-lib PDPGD": Peer(adv_lib(pdpgd, num_steps=STEPS)),
    "adv-lib APGD, bisected": Peer(
        adv_lib(
            minimal_apgd,
            max_eps=1.0,
            binary_search_steps=SEARCHES,
            n_iter=STEPS // SEARCHES - 1,
            loss_function="dlr",
        ),
        is_random=True,
    ),
    "Foolbox FMN": Peer(of_foolbox(foolbox.attacks.LInfFMNAttack(steps=STEPS))),
    "Foolbox DeepFool": Peer(of_foolbox(foolbox.attacks.LinfDeepFoolAttack(steps=50, candidates=10))),
}
"""Foolbox's Brendel-Bethge attack, which needs numba, is not measured."""


def measure(name: str, subject: Subject, x: Tensor, y: Tensor, seed: int) -> Measured:
    started = time.perf_counter()
    if name == OURS:
        result = advtool.smallest_eps(subject.model, x, y, seed=seed)
        distances = [1.0 if image.eps is None else image.eps for image in result.per_image]
        calls = result.attacks[0].model_calls
        passes = calls.forward + calls.backward
    else:
        torch.manual_seed(seed)
        counting = Counting(subject.model)
        found = PEERS[name].attack(counting, x, y).detach()
        passes = counting.passes
        distances = _verified(subject.model, found, x, y).tolist()
    return Measured(distances, passes / len(x), (time.perf_counter() - started) / len(x))


def _verified(model: nn.Module, found: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The distance of each example, float64 (N,); 1 where it is none."""
    with torch.no_grad():
        fools = model(found).argmax(1) != y
    within = (found >= 0).flatten(1).all(1) & (found <= 1).flatten(1).all(1)
    return torch.where(fools & within, (found.double() - x.double()).abs().flatten(1).amax(1), 1.0)


def kept(folder: Path, name: str, subject: Subject, x: Tensor, y: Tensor, seed: int) -> Measured:
    path = folder / f"{subject.name}-{name.replace(' ', '-').replace(',', '')}-{len(x)}-{seed}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measure(name, subject, x, y, seed)._asdict()))
    return Measured(**json.loads(path.read_text()))


def rows(subject: Subject, names: list[str], images: int, seeds: int, folder: Path) -> Iterator[str]:
    split = first_images(load(subject.dataset, "test"), images)
    x, y = to_float(split.images), split.labels
    with torch.no_grad():
        right = subject.model.requires_grad_(False)(x).argmax(1) == y
    x, y = x[right], y[right]
    found = {}
    for name in names:
        repeats = seeds if name == OURS or PEERS[name].is_random else 1
        found[name] = [kept(folder, name, subject, x, y, seed) for seed in range(repeats)]
    every = torch.tensor([each.distances for several in found.values() for each in several]).double()
    best = every.amin(0)
    for name, several in found.items():
        distances = torch.tensor([each.distances for each in several]).double()
        medians, means = distances.median(1).values, distances.mean(1)
        near = (distances <= 1.01 * best).double().mean()
        cells = [
            f"{medians.mean():.4f}",
            f"{means.mean():.4f}",
            f"{(means.mean() / best.mean() - 1) * 100:.1f} %",
            f"{100 * near:.0f} %",
            f"{fmean(each.propagations for each in several):.0f}",
            f"{fmean(each.seconds for each in several):.2f}",
        ]
        yield f"| {subject.name} | {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="*")
    parser.add_argument("--nets", type=Path, help="folder with nets.py and a file of weights for each net")
    parser.add_argument("--net", action="append", default=[], help="a net of --nets; repeat for more")
    parser.add_argument("--attack", action="append", choices=[OURS, *PEERS])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3, help="of attacks with random starts")
    parser.add_argument("--keep", type=Path, required=True, help="folder for the distances")
    given = parser.parse_args()
    subjects = list(checkpoints(given.checkpoints, None, tricks=False))
    subjects += [net for net in (nets(given.nets) if given.nets else ()) if net.name in given.net]
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads\n")
    heading = ("model", "attack", "median", "mean", "above the best", "within 1 %", "propagations", "s an image")
    print(f"| {' | '.join(heading)} |\n|---|---|{'---:|' * 6}", flush=True)
    for subject in subjects:
        for row in rows(subject, given.attack or [OURS, *PEERS], given.images, given.seeds, given.keep):
            print(row, flush=True)


if __name__ == "__main__":
    main()
