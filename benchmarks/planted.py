"""How many planted examples do attacks find, on which models?

    ADVTOOL_DATA=folder python benchmarks/planted.py CHECKPOINT... [--nets FOLDER] [--tricks] [--attack NAME]...

Per cent of the planted examples of the first 50 test images, the mean and the lowest over ``--seeds``. ``noise`` is the
baseline: 200 random points an image. ``--tricks`` puts each checkpoint behind three ways to hide a gradient. NETS is a
folder with ``nets.py``, a factory for each net, and ``NAME.safetensors``, its weights. A Markdown table goes to stdout.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from strangers import Subject, nets
from torch import Tensor, nn

import advtool
from advtool.checkpoints import read_header
from advtool.data import first_images, load, to_float
from advtool.evaluation.planting.planting import PLANTED_IMAGES

ATTACKS = ("noise(samples=200)", "fgsm", "pgd(steps=2)", "pgd", "audit")


class Trick(nn.Module):
    """A model that hides its gradient."""

    def __init__(self, net: nn.Module, trick: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.trick = net, trick

    def forward(self, x: Tensor) -> Tensor:
        return self.trick(self.net, x)


TRICKS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "saturated": lambda net, x: 1000 * net(x),
    "quantised": lambda net, x: net((15 * x).round() / 15),
    "shattered": lambda net, x: net(x + 0.02 * torch.sin(300 * x)),
}
"""Logits so large that the softmax is flat, pixels of 16 levels, and a loss that is rough at small scales."""


def checkpoints(paths: list[Path], eps: float | None, *, tricks: bool) -> Iterator[Subject]:
    """Each checkpoint, at its own eps if none is given."""
    for path in paths:
        header, model = read_header(path), advtool.load_checkpoint(path)
        plain = Subject(path.stem, model, header.dataset, eps or header.threat_model.eps)
        yield plain
        for name, trick in TRICKS.items() if tricks else ():
            yield plain._replace(name=f"{path.stem}, {name}", model=Trick(model, trick).eval())


def found(subject: Subject, attack: str, seeds: int) -> str:
    """The share of planted examples that an attack finds, the mean and the lowest; and its part of the time."""
    split = first_images(load(subject.dataset, "test"), PLANTED_IMAGES)
    x, y = to_float(split.images), split.labels
    shares, parts = [], []
    for seed in range(seeds):
        started = time.perf_counter()
        result = advtool.evaluate(subject.model, x, y, eps=subject.eps, attacks=attack, planted=True, seed=seed)
        if result.planted is None:
            return "none"
        shares.append(100 * result.planted.found / result.planted.total)
        parts.append(100 * result.planted.seconds / (time.perf_counter() - started))
    cell = f"{statistics.mean(shares):.0f} ({min(shares):.0f})"
    if result.planted.total < PLANTED_IMAGES:
        cell += f" of {result.planted.total}"
    return (
        f"{cell}, {statistics.mean(parts):.0f} % of {time.perf_counter() - started:.0f} s"
        if "audit" in attack
        else cell
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="*")
    parser.add_argument("--nets", type=Path)
    parser.add_argument("--tricks", action="store_true")
    parser.add_argument("--attack", action="append")
    parser.add_argument("--eps", type=float, help="of the checkpoints; default: their own")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    attacks = given.attack or ATTACKS
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads, {given.seeds} seeds\n")
    print(f"| model | eps | {' | '.join(attacks)} |\n|---|---|{'---:|' * len(attacks)}", flush=True)
    subjects = checkpoints(given.checkpoints, given.eps, tricks=given.tricks)
    for subject in (*subjects, *(nets(given.nets) if given.nets else ())):
        cells = [found(subject, attack, given.seeds) for attack in attacks]
        print(f"| {subject.name} | {subject.eps:.3g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
