"""What ART's fast-is-better-than-free trainer and ours reach with the same network, images, batch size and epochs.

    ADVTOOL_DATA=folder python benchmarks/training_accuracy.py --dataset fashion-mnist --eps 0.1

ART's method is RFGSM with a step of 1.25 eps; beside it stand our RFGSM with that step, and NFGSM. ART's trainer sets a
learning rate for SGD (up to 0.21) itself; ours keep theirs. All
weights are those of the last epoch. PGD-50, test images.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from art.defences.trainer import AdversarialTrainerFBFPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import nn
from training import Opaque

from advtool import evaluate
from advtool.data import first_images, load, to_float
from advtool.training import Observer, loop
from advtool.training.prepared import Prepared, prepare

BATCH_SIZE = 100

Trainer = Callable[[Prepared], nn.Module]


def ours(prepared: Prepared) -> nn.Module:
    """Our loop to its last epoch."""
    for _ in loop.epochs(
        prepared.model,
        prepared.recipe,
        prepared.training,
        prepared.validation[:1],
        updates=loop.updates_of(prepared.model, prepared.recipe, len(prepared.training)),
        threat_model=prepared.threat_model,
        seed=prepared.header.seed,
        observer=Observer(),
    ):
        pass
    return prepared.model


def arts(prepared: Prepared) -> nn.Module:
    """ART's trainer from the same initial weights, with the optimiser of Wong et al. 2020."""
    np.random.seed(prepared.header.seed)
    classifier = PyTorchClassifier(
        Opaque(prepared.model),
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD(prepared.model.parameters(), lr=0.21, momentum=0.9, weight_decay=5e-4),
        input_shape=prepared.training.shape,
        nb_classes=len(prepared.training.classes),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    x, y = to_float(prepared.training.images).numpy(), prepared.training.labels.numpy()
    trainer = AdversarialTrainerFBFPyTorch(classifier, eps=prepared.threat_model.eps)
    one_hot = np.eye(classifier.nb_classes, dtype=np.float32)[y]
    trainer.fit(x, one_hot, batch_size=BATCH_SIZE, nb_epochs=prepared.recipe.epochs)
    return prepared.model


def accuracies(model: nn.Module, dataset: str, eps: float, images: int) -> tuple[float, float]:
    """Clean and PGD-50 accuracy on the first test images, fractions."""
    split = first_images(load(dataset, "test"), images)
    result = evaluate(model, to_float(split.images), split.labels, eps=eps, attacks="pgd")
    return result.clean.accuracy, result.worst_case.accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--eps", type=float, default=0.3)
    parser.add_argument("--limit", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    recipes: dict[str, tuple[str, dict[str, Any], Trainer]] = {
        "ART's FBF": ("rfgsm", {}, arts),
        "rfgsm, step 1.25 eps": ("rfgsm", {"step_size": 1.25 * given.eps}, ours),
        "nfgsm": ("nfgsm", {}, ours),
    }
    print("| trainer | clean | PGD-50 | seconds |\n|---|---:|---:|---:|")
    for name, (recipe, settings, trainer) in recipes.items():
        clean, pgd, seconds = list[float](), list[float](), list[float]()
        for seed in range(given.seeds):
            prepared = prepare(
                given.dataset,
                recipe,
                eps=given.eps,
                seed=seed,
                device=torch.device("cpu"),
                limit=given.limit,
                data_dir=None,
                arch="cnn",
                epochs=given.epochs,
                batch_size=BATCH_SIZE,
                **settings,
            )
            start = time.perf_counter()
            model = trainer(prepared)
            seconds.append(time.perf_counter() - start)
            for figures, figure in zip(
                (clean, pgd), accuracies(model, given.dataset, given.eps, given.images), strict=True
            ):
                figures.append(100 * figure)
        spread = " | ".join(f"{statistics.mean(f):.1f} ± {statistics.stdev(f):.1f}" for f in (clean, pgd))
        print(f"| {name} | {spread} | {statistics.median(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
