"""What the training methods cost, as ratios to clean training in the same process.

    python benchmarks/training.py --images 10000 --repeats 5

Every method trains one epoch in turn, again and again, so that a busy machine slows all of them alike; the
figures are medians. Two methods run once more with contiguous weights; our trainings have them channels last on a CPU.
ART's fast-is-better-than-free trainer gets the same model, images and batch size: once with our convolutions, as our
trainings do, and once with torch's own, which is the same network.
"""

import os

os.environ["TQDM_DISABLE"] = "1"  # ART's bars; read when tqdm is imported

import argparse
import json
import statistics
from typing import Any

import numpy as np
import torch
from art.defences.trainer import AdversarialTrainerFBFPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from advtool import models
from advtool.checkpoints import Architecture
from advtool.compute.quick import make_quick
from advtool.data import Split, to_float
from advtool.training.prepared import prepare
from advtool.training.timing import Epoch, epoch_of, take_turns

EPS = {"cnn": 0.3, "lenet": 0.3, "resnet11": 8 / 255}
SHAPES = {"cnn": (1, 28, 28), "lenet": (1, 28, 28), "resnet11": (3, 32, 32)}

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("clean", {}),
    "apb naive": ("apb", {"bias": "naive"}),
    "apb multimodal": ("apb", {"bias": "multimodal"}),
    "nfgsm": ("nfgsm", {}),
    "nfgsm + pnil": ("nfgsm", {"pnil": True}),
    "pgd-7": ("pgd", {"pgd_steps": 7}),
    "pgd-40": ("pgd", {"pgd_steps": 40}),
}
TARGETS = {"apb naive": 1.05, "apb multimodal": 1.10, "nfgsm": 2.3}
"""At most that many times the seconds of clean training."""
CONTIGUOUS = ("clean", "nfgsm")
"""Timed with contiguous weights too."""
FASTER_THAN_ART = {"cnn": 1.3, "resnet11": 2.0}
"""NFGSM at least that many times faster than ART's trainer."""


def random_images(arch: str, count: int) -> Split:
    """Noise in ten classes: what a step costs does not depend on what the images show."""
    generator = torch.Generator().manual_seed(0)
    # The session carves a tenth (at most 5000) for validation.
    total = count + min(5000, count // 9 + 1)
    images = torch.randint(0, 256, (total, *SHAPES[arch]), dtype=torch.uint8, generator=generator)
    return Split("noise", tuple("0123456789"), images, torch.arange(total) % 10)


def our_epoch(
    split: Split,
    arch: str,
    batch_size: int,
    device: str,
    recipe: str,
    settings: dict[str, Any],
    *,
    arch_args: dict[str, Any],
    contiguous: bool = False,
) -> Epoch:
    """One epoch of a recipe, without validation."""
    prepared = prepare(
        split,
        recipe,
        eps=EPS[arch],
        seed=0,
        device=torch.device(device),
        limit=None,
        data_dir=None,
        arch=arch,
        arch_args=arch_args or None,
        batch_size=batch_size,
        **settings,
    )
    make_quick(prepared.model)
    if contiguous:
        prepared.model.to(memory_format=torch.contiguous_format)
    return epoch_of(prepared)


class Opaque(nn.Module):
    """A module that ART does not take apart: of a Sequential its trainer would read the first layer as logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits


def art_epoch(
    split: Split,
    arch: str,
    batch_size: int,
    device: str,
    count: int,
    *,
    arch_args: dict[str, Any],
    plain: bool = False,
) -> Epoch:
    """One epoch of ART's trainer for the same model, the same number of images and the same batch size."""
    ours = models.build(Architecture(name=arch, input_shape=SHAPES[arch], classes=10, options=arch_args))
    if not plain:
        make_quick(ours)
    model = Opaque(ours)
    classifier = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        input_shape=SHAPES[arch],
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="gpu" if device == "cuda" else "cpu",
    )
    trainer = AdversarialTrainerFBFPyTorch(classifier, eps=EPS[arch])
    x = to_float(split.images[:count]).numpy()
    y = np.eye(10, dtype=np.float32)[split.labels[:count].numpy()]
    return lambda: trainer.fit(x, y, batch_size=batch_size, nb_epochs=1)


def seconds(epochs: dict[str, Epoch], repeats: int) -> dict[str, float]:
    """The median time of each epoch; all take turns, after one round to warm up."""
    return {name: statistics.median(times) for name, times in take_turns(epochs, repeats).items()}


def report(arch: str, medians: dict[str, float]) -> None:
    """A Markdown table: seconds an epoch, ratios to clean training and to NFGSM, the target."""
    targets = {name: f"at most {most:.2f} / clean" for name, most in TARGETS.items()}
    if arch in FASTER_THAN_ART:
        targets["ART's FBF"] = f"at least {FASTER_THAN_ART[arch]} / nfgsm"
    print(f"\n{arch}\n\n| method | seconds | / clean | / nfgsm | target |\n|---|---:|---:|---:|---|")
    for name, value in medians.items():
        ratios = f"{value / medians['clean']:.2f} | {value / medians['nfgsm']:.2f}"
        print(f"| {name} | {value:.3f} | {ratios} | {targets.get(name, '')} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=sorted(SHAPES), action="append", help="default: cnn and lenet; repeats")
    parser.add_argument("--arch-args", type=json.loads, default={}, help="sizes, e.g. '{\"width\": 16}' of resnet11")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--method", choices=[*METHODS, "art"], action="append", help="default: all; clean and nfgsm always"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = arguments.arch_args
    for arch in arguments.arch or ["cnn", "lenet"]:
        split = random_images(arch, arguments.images)
        place = (split, arch, arguments.batch_size, arguments.device)
        wanted = set(arguments.method or [*METHODS, "art"]) | {"clean", "nfgsm"}
        epochs = {name: our_epoch(*place, *METHODS[name], arch_args=sizes) for name in METHODS if name in wanted}
        for name in CONTIGUOUS:
            epochs[f"{name}, contiguous"] = our_epoch(*place, *METHODS[name], arch_args=sizes, contiguous=True)
        if "art" in wanted:
            epochs["ART's FBF"] = art_epoch(*place, arguments.images, arch_args=sizes)
            if arch == "cnn":
                epochs["ART's FBF, torch's layers"] = art_epoch(*place, arguments.images, arch_args=sizes, plain=True)
        report(arch, seconds(epochs, arguments.repeats))


if __name__ == "__main__":
    main()
