"""Is our suite as strong as the peers'? The same checkpoints and images, in one process, on one thread count.

    pip install advtool torchattacks foolbox pyautoattack         # an environment of its own
    ADVTOOL_DATA=folder python benchmarks/strength.py --images 200 CHECKPOINT...

PGD and SPSA are held to the peers' at equal model calls (PGD-50 from one random start; SPSA 100 x 128 evaluations of
every image), the audit's worst case to AutoAttack's standard version, or its ``rand`` version for a model that is
random: the median of three seeds. A Markdown table goes to stdout, a line a measurement to stderr.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import foolbox
import torch
import torchattacks
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from noisy import Noisy
from pyautoattack import AutoAttack
from torch import Tensor, nn

from advtool import evaluate, load_checkpoint
from advtool.checkpoints import read_header
from advtool.compute.memory import freed_memory_kept
from advtool.data import first_images, load, to_float

STEPS, SPSA_STEPS, SPSA_SAMPLES = 50, 100, 128
VOTES = 20

Examples = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
"""From a model, images (N, C, H, W), labels (N,) and eps to adversarial candidates."""


def torchattacks_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    attack = torchattacks.PGD(model, eps=eps, alpha=2 * eps / STEPS, steps=STEPS, random_start=True)
    found: Tensor = attack(x, y)
    return found


def foolbox_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    attack = foolbox.attacks.LinfPGD(abs_stepsize=2 * eps / STEPS, steps=STEPS, random_start=True)
    subject = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    found: Tensor = attack(subject, x, y, epsilons=eps)[1]
    return found


def art_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    loss = nn.CrossEntropyLoss()
    shape, classes = tuple(x.shape[1:]), int(model(x[:1]).shape[1])
    classifier = PyTorchClassifier(model, loss, shape, classes, clip_values=(0, 1), device_type="cpu")
    attack = ProjectedGradientDescentPyTorch(
        classifier, eps=eps, eps_step=2 * eps / STEPS, max_iter=STEPS, num_random_init=1, verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


def torchattacks_spsa(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    # nb_sample counts antithetic pairs; its default step, 0.01, is that of our Adam
    attack = torchattacks.SPSA(model, eps=eps, nb_iter=SPSA_STEPS, nb_sample=SPSA_SAMPLES // 2, max_batch_size=64)
    found: Tensor = attack(x, y)
    return found


PGDS: dict[str, Examples] = {"torchattacks": torchattacks_pgd, "Foolbox": foolbox_pgd, "ART": art_pgd}
SPSAS: dict[str, Examples] = {"torchattacks": torchattacks_spsa}


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor, votes: int) -> Tensor:
    """By the prediction rule of ``advtool``: the arg max of the mean softmax over the votes."""
    return torch.stack([model(x).softmax(1) for _ in range(votes)]).mean(0).argmax(1) == y


def peer(make: Examples, model: nn.Module, x: Tensor, y: Tensor, eps: float, votes: int) -> float:
    clean = correct(model, x, y, votes)
    return float((clean & correct(model, make(model, x, y, eps), y, votes)).float().mean())


def autoattack(model: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int, *, random: bool) -> float:
    version = "rand" if random else "standard"
    attack = AutoAttack(model, norm="Linf", eps=eps, version=version, seed=seed, device="cpu")
    found = attack.run_standard_evaluation(x, y, batch_size=len(x))
    found = found[0] if isinstance(found, tuple) else found
    votes = VOTES if random else 1
    return float((correct(model, x, y, votes) & correct(model, found, y, votes)).float().mean())


def ours(model: nn.Module, x: Tensor, y: Tensor, eps: float, attack: str, seed: int) -> float:
    return evaluate(model, x, y, eps=eps, attacks=attack, seed=seed).worst_case.accuracy


def measured(name: str, compute: Callable[[], float]) -> float:
    start = time.process_time()
    accuracy = compute()
    print(f"{name}: {100 * accuracy:.1f} % left ({time.process_time() - start:.1f} s)", file=sys.stderr, flush=True)
    return accuracy


def row(path: Path, images: int, seeds: int, *, spsa: bool, noise: float) -> list[str]:
    header = read_header(path)
    model = load_checkpoint(path).requires_grad_(False)
    if noise:
        model = Noisy(model, noise).eval()
    split = first_images(load(header.dataset, "test"), images)
    x, y, eps = to_float(split.images), split.labels, header.threat_model.eps
    result = evaluate(model, x, y, eps=eps, attacks="fgsm")
    random, name = result.votes > 1, path.stem
    print(f"{name}: clean {100 * result.clean.accuracy:.1f} %", file=sys.stderr, flush=True)
    cells = [name, f"{100 * result.clean.accuracy:.1f}"]
    for kind, peers, wanted in (("pgd", PGDS, True), ("spsa", SPSAS, spsa)):
        if not wanted:
            cells += ["", ""]
            continue
        cells.append(f"{100 * measured(f'our {kind}', lambda: ours(model, x, y, eps, kind, 0)):.1f}")  # noqa: B023
        lowest = min(
            (measured(f"{who} {kind}", lambda: peer(make, model, x, y, eps, result.votes)), who)  # noqa: B023
            for who, make in peers.items()
        )
        cells.append(f"{100 * lowest[0]:.1f} ({lowest[1]})")
    audit = [measured(f"audit, seed {s}", lambda: ours(model, x, y, eps, "audit", s)) for s in range(seeds)]  # noqa: B023
    auto = [
        measured(f"AutoAttack, seed {s}", lambda: autoattack(model, x, y, eps, s, random=random))  # noqa: B023
        for s in range(seeds)
    ]
    return [*cells, f"{100 * statistics.median(audit):.1f}", f"{100 * statistics.median(auto):.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-spsa", action="store_true", help="SPSA takes by far the most time")
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of Gaussian noise put before each model")
    given = parser.parse_args()
    print("| checkpoint | clean | PGD-50 | best peer | SPSA | best peer | audit | AutoAttack |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for path in given.checkpoints:
        with freed_memory_kept():  # the same allocator for all
            cells = row(path, given.images, given.seeds, spsa=not given.no_spsa, noise=given.noise)
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
