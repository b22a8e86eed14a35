"""How the cost of an attack grows with what it is asked for: it must be linear.

    ADVTOOL_DATA=folder python benchmarks/growth.py --models folder --threads 2

One quantity at a time doubles three times, on the strided CNN (behind a PNIL for EOT samples); the median of --repeats
rounds counts. Linear means that the seconds are a fixed cost (the probe, the clean pass) and a rate, so that eight
times as much takes eight times as long at most.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from attack_models import Subject, subject

from advtool import evaluate


class Quantity(NamedTuple):
    """What grows, from which value on, and what stays."""

    name: str
    first: int
    kind: str
    settings: dict[str, Any]


QUANTITIES = (
    Quantity("images", 250, "robust", {"attacks": "pgd"}),
    Quantity("pgd_steps", 50, "robust", {"attacks": "pgd"}),
    Quantity("spsa_steps", 5, "robust", {"attacks": "spsa", "spsa_samples": 128}),
    Quantity("spsa_samples", 64, "robust", {"attacks": "spsa", "spsa_steps": 5}),
    Quantity("eot", 5, "random", {"attacks": "pgd", "votes": 1, "pgd_steps": 10}),
)
VALUES = 4


def seconds(given: Subject, quantity: Quantity, value: int, images: int) -> float:
    """Of one evaluation with the quantity at ``value``."""
    count = value if quantity.name == "images" else images
    settings = quantity.settings | ({} if quantity.name == "images" else {quantity.name: value})
    start = time.perf_counter()
    evaluate(given.model, given.x[:count], given.y[:count], eps=given.eps, **settings)
    return time.perf_counter() - start


def medians(given: Subject, quantity: Quantity, values: list[int], images: int, repeats: int) -> list[float]:
    rounds = []
    for _ in range(repeats):
        rounds.append([seconds(given, quantity, value, images) for value in values])
        print(f"{quantity.name}: {rounds[-1]}", file=sys.stderr, flush=True)
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder of the models; trained there if absent")
    parser.add_argument("--images", type=int, default=200, help="where something else grows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| what grows | values | seconds | times as long for 8 times as much |\n|---|---|---|---:|")
    for quantity in QUANTITIES:
        values = [quantity.first * 2**doubling for doubling in range(VALUES)]
        images = values[-1] if quantity.name == "images" else arguments.images
        given = subject("strided", quantity.kind, images, arguments.models, arguments.device)
        times = medians(given, quantity, values, images, arguments.repeats)
        growth = times[-1] / times[0]
        shown = [", ".join(map(str, values)), ", ".join(f"{each:.2f}" for each in times), f"{growth:.1f}"]
        print(f"| {' | '.join([quantity.name, *shown])} |", flush=True)


if __name__ == "__main__":
    main()
