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

from attack_models import Subject
from noisy import Noisy
from peers import PEERS, TOGETHER, Settings, standing

from advtool import evaluate, load_checkpoint
from advtool.checkpoints import read_header
from advtool.compute.memory import freed_memory_kept
from advtool.data import first_images, load, to_float

STEPS, SPSA_STEPS, SPSA_SAMPLES = 50, 100, 128
VOTES = 20

PGDS, SPSAS = ("torchattacks", "Foolbox", "ART"), ("torchattacks",)


def peer(name: str, kind: str, given: Subject, how: Settings, votes: int) -> float:
    """What stands after a peer's attack. It gets all images in one call."""
    found = PEERS[kind][name](given.model, given, how._replace(batch=len(given.x) * TOGETHER))
    return float(standing(given.model, given, found, votes).float().mean())


def ours(given: Subject, attack: str, seed: int) -> float:
    return evaluate(given.model, given.x, given.y, eps=given.eps, attacks=attack, seed=seed).worst_case.accuracy


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
    given = Subject(path.stem, model, to_float(split.images), split.labels, header.threat_model.eps)
    result = evaluate(given.model, given.x, given.y, eps=given.eps, attacks="fgsm")
    print(f"{given.name}: clean {100 * result.clean.accuracy:.1f} %", file=sys.stderr, flush=True)
    cells = [given.name, f"{100 * result.clean.accuracy:.1f}"]
    for kind, peers, how in (("pgd", PGDS, Settings(STEPS)), ("spsa", SPSAS, Settings(SPSA_STEPS, SPSA_SAMPLES))):
        if kind == "spsa" and not spsa:
            cells += ["", ""]
            continue
        cells.append(f"{100 * measured(f'our {kind}', lambda: ours(given, kind, 0)):.1f}")  # noqa: B023
        lowest = min(
            (measured(f"{who} {kind}", lambda: peer(who, kind, given, how, result.votes)), who)  # noqa: B023
            for who in peers
        )
        cells.append(f"{100 * lowest[0]:.1f} ({lowest[1]})")
    audit = [measured(f"audit, seed {s}", lambda: ours(given, "audit", s)) for s in range(seeds)]  # noqa: B023
    votes = VOTES if result.votes > 1 else 1
    auto = [
        measured(
            f"AutoAttack, seed {s}",
            lambda: peer("AutoAttack", "audit", given, Settings(0, draws=votes, seed=s), votes),  # noqa: B023
        )
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
