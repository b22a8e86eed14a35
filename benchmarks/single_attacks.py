"""What does each attack find by itself, and what does it cost?

    ADVTOOL_DATA=folder python benchmarks/single_attacks.py CHECKPOINT... [--nets FOLDER] [--attack NAME]...

The attacks work on the test images that the attack ``--after`` and linear bounds leave open. For each: how many of them
are left, the mean over the seeds, and passes through the model an image. NETS is a folder with ``nets.py``, a factory
for each net, and ``NAME.safetensors``, its weights. A Markdown table goes to stdout.
"""

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from planted import checkpoints
from strangers import NETS, Subject, nets
from torch import Tensor

import advtool
from advtool.data import first_images, load, to_float

ATTACKS = ("apgd", "apgd(loss='dlr')", "apgd(loss='pma')")


def compare(
    subject: Subject, x: Tensor, y: Tensor, attacks: Sequence[str], *, after: str, seeds: int, certify: bool
) -> list[float]:
    """A row of the table on stdout; how many images each attack leaves."""
    given = advtool.evaluate(subject.model, x, y, eps=subject.eps, attacks=after, certify=certify, planted=False)
    is_open = given.outcomes.worst_case & ~given.outcomes.certified
    left, cells = [], []
    for attack in attacks:
        robust, passes, started = [], [], time.perf_counter()
        for seed in range(seeds):
            outcomes = advtool.evaluate(
                *(subject.model, x[is_open], y[is_open]),
                eps=subject.eps, attacks=attack, certify=False, planted=False, seed=seed,
            ).outcomes  # fmt: skip
            robust.append(int(outcomes.worst_case.sum()))
            passes.append(float(outcomes.queries[1].float().mean()))
        left.append(statistics.mean(robust))
        cells.append(f"{left[-1]:.1f} ({statistics.mean(passes):.0f})")
        took = time.perf_counter() - started
        print(f"{subject.name}, {attack}: {robust} of {int(is_open.sum())}, {took:.0f} s", file=sys.stderr, flush=True)
    print(f"| {subject.name} | {subject.eps:.3g} | {int(is_open.sum())} | {' | '.join(cells)} |", flush=True)
    return left


def head(attacks: Iterable[str]) -> str:
    """The first lines of the table."""
    attacks = [f"`{attack}`" for attack in attacks]
    version = f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads"
    return f"{version}\n\n| model | eps | open | {' | '.join(attacks)} |\n|---|---:|---:|{'---:|' * len(attacks)}"


def options(about: str) -> argparse.ArgumentParser:
    """The options that benchmarks of this kind share."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="*")
    parser.add_argument("--attack", action="append")
    parser.add_argument("--after", default="fgsm")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    return parser


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", type=Path)
    parser.add_argument("--only", action="append", help="of the nets")
    given = parser.parse_args()
    attacks = given.attack or ATTACKS
    print(head(attacks), flush=True)
    strangers = [net for net in nets(given.nets) if net.name in (given.only or NETS)] if given.nets else []
    subjects = [*checkpoints(given.checkpoints, None, tricks=False), *strangers]
    rows = []
    for subject in subjects:
        split = first_images(load(subject.dataset, "test"), given.images)
        x, y = to_float(split.images), split.labels
        rows.append(compare(subject, x, y, attacks, after=given.after, seeds=given.seeds, certify=True))
    print(f"| all | | | {' | '.join(f'{sum(column):.1f}' for column in zip(*rows, strict=True))} |")


if __name__ == "__main__":
    main()
