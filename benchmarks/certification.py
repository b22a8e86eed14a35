"""How much is certified of nets that other groups trained, and in what time?

    ADVTOOL_DATA=folder python benchmarks/certification.py NETS [--seconds 60] [--threads 1]

NETS is a folder with ``nets.py``, a factory for each net, ``NAME.safetensors``, its weights, and ``instances.json``:
images on which complete verifiers agree. Linear bounds alone go first, on all images. ``--seconds`` gives the instances
that they leave undecided so much time each. Two Markdown tables go to stdout.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from strangers import net
from torch import Tensor

import advtool
from advtool.data import load, to_float


class Case(NamedTuple):
    """Some test images of a net."""

    net: str
    dataset: str
    eps: float
    images: slice


CASES = (
    Case("kw_mnist", "mnist", 0.1, slice(4000, 4200)),
    Case("colt_mnist", "mnist", 0.1, slice(4000, 4060)),
    Case("kw_fashion_mnist", "fashion-mnist", 0.1, slice(4000, 4100)),
    Case("resnet2b_cifar", "cifar10", 2 / 255, slice(4000, 4100)),
)


def images(dataset: str, split: Any, places: Any) -> tuple[Tensor, Tensor]:
    """Images and labels by their places in the data set's own order."""
    data = load(dataset, split)
    return to_float(data.images[places]), data.labels[places]


def certify_sets(folder: Path) -> None:
    """Linear bounds on the test images of each case."""
    print("| net | eps | images | certified | seconds |\n|---|---|---|---|---|")
    for case in CASES:
        model, (x, y) = net(folder, case.net), images(case.dataset, "test", case.images)
        advtool.certify(model, x[:1], y[:1], eps=case.eps, seconds=0)  # torch.export loads for seconds, once
        started = time.perf_counter()
        share = float(advtool.certify(model, x, y, eps=case.eps, seconds=0).certified.double().mean())
        seconds = time.perf_counter() - started
        print(f"| {case.net} | {case.eps:.4g} | {len(x)} | {100 * share:.1f} % | {seconds:.1f} |", flush=True)


def certify_instances(folder: Path, seconds: float) -> None:
    """The instances with a verdict: linear bounds first, then ``seconds`` for each that they leave undecided."""
    verdicts = json.loads((folder / "instances.json").read_text())
    print("\n| net | eps | proved robust | linear bounds | seconds | with branching | seconds | breakable, certified |")
    print("|---|---|---|---|---|---|---|---|")
    for name, eps in sorted({(each["net"], each["eps"]) for each in verdicts}):
        here = [each for each in verdicts if (each["net"], each["eps"]) == (name, eps)]
        x, y = images(here[0]["dataset"], here[0]["split"], torch.tensor([each["index"] for each in here]))
        robust = torch.tensor([each["verdict"] == "robust" for each in here])
        model, certified, spent = net(folder, name), [], []
        for patience in (0.0, seconds):
            started = time.perf_counter()
            certified.append(advtool.certify(model, x[robust], y[robust], eps=eps, seconds=patience).certified.sum())
            spent.append(time.perf_counter() - started)
        wrong = 0
        if not robust.all():
            found = advtool.certify(model, x[~robust], y[~robust], eps=eps, seconds=min(seconds, 5))
            wrong = int(found.certified.sum())
        print(
            f"| {name} | {eps:.4g} | {int(robust.sum())} | {certified[0]} | {spent[0]:.1f} | {certified[1]} | "
            f"{spent[1]:.0f} | {wrong} of {int((~robust).sum())} |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {given.threads} threads, seconds {given.seconds:g}\n")
    certify_sets(given.nets)
    certify_instances(given.nets, given.seconds)
