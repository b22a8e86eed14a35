"""How many draws does an attack on a random model need? Single attacks, the images that they leave, and their time.

    ADVTOOL_DATA=folder python benchmarks/draws.py CHECKPOINT --noise 0.1 pgd "apgd(eot=20)" "apgd(eot=4)"

Each attack searches all images that twenty votes have right. Three fresh sets of twenty votes judge what it found. A
Markdown table goes to stdout.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from noisy import Noisy
from torch import Tensor

from advtool import load_checkpoint
from advtool.attacks.registry import build
from advtool.attacks.spelling import parse
from advtool.checkpoints import read_header
from advtool.compute.memory import freed_memory_kept
from advtool.data import first_images, load, to_float
from advtool.target.facts import Randomness
from advtool.target.scores import predictions
from advtool.target.search_form import search_form
from advtool.target.target import Target
from advtool.threat import ThreatModel

DRAWS, JUDGES = 20, 3


def opened(path: Path, images: int, noise: float, levels: int | None) -> tuple[Target, ThreatModel, Tensor, Tensor]:
    header = read_header(path)
    model = load_checkpoint(path).requires_grad_(False)
    if noise:
        model = Noisy(model, noise, levels).eval()
    split = first_images(load(header.dataset, "test"), images)
    x, y = to_float(split.images), split.labels
    form = search_form(model, x)
    target = Target(
        model,
        find_form=lambda: form,
        input_shape=tuple(x.shape[1:]),
        classes=10,
        eot=DRAWS,
        votes=DRAWS,
        randomness=Randomness.each_image,
    )
    torch.manual_seed(0)
    right = predictions(target.scores(x)) == y
    return target, header.threat_model, x[right], y[right]


def left(target: Target, x: Tensor, y: Tensor) -> float:
    """How many images the votes have right, the mean of several sets of votes."""
    return statistics.fmean(int((predictions(target.scores(x)) == y).sum()) for _ in range(JUDGES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("attacks", nargs="+")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of Gaussian noise put before the model")
    parser.add_argument("--levels", type=int, help="grey levels after the noise, which leave no gradient")
    given = parser.parse_args()
    target, threat_model, x, y = opened(given.checkpoint, given.images, given.noise, given.levels)
    print(f"| attack | left of {len(x)} | draws an image | seconds of CPU |\n|---|---:|---:|---:|")
    for text in given.attacks:
        found, passes, started = [], target.calls.forward, time.process_time()
        for seed in range(given.seeds):
            torch.manual_seed(seed)
            attack = build(parse(text)[0], target, threat_model, defaults={})
            found.append(attack.search(x, y, torch.Generator().manual_seed(seed)).x)
        seconds = (time.process_time() - started) / given.seeds
        spent = (target.calls.forward - passes) / len(x) / given.seeds
        survivors = ", ".join(f"{left(target, candidates, y):.1f}" for candidates in found)
        print(f"| {text} | {survivors} | {spent:.0f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    with freed_memory_kept():
        main()
