"""What figures 1 and 3 of the second paper share: a model with PNIL, its noise, and its maps as images."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from advtool import seeding
from advtool.data import Split, to_float
from advtool.models.noise import PNIL, maps
from advtool.reproduce import pnil
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.steps import Budget
from advtool.reproduce.table import Cell, Line
from advtool.results import Panel

CHANNELS = ("red", "green", "blue")


def line(budget: Budget, dataset: str, cells: Mapping[str, Cell]) -> Line:
    """NFGSM with PNIL on the data set's own split: the paper does not say which training its figures show."""
    models = pnil.models(replace(budget, folds=0), dataset, "nfgsm", pnil.FITTED_EPS[dataset], pnil=True)
    labels = (dataset, pnil.title("nfgsm", pnil=True))
    return Line(labels=labels, cells=cells, models=models, evidence={name: name for name in cells})


def deviations(layer: PNIL, images: Split) -> Tensor:
    """The standard deviation of the noise at every pixel of every image, float32 like the images."""
    with torch.no_grad():
        return torch.exp(layer.sigma(to_float(images.images)) / 2)


def pictures(measured: Measured, line: Line) -> list[Panel]:
    """The first test image as the paper draws it: input, what was learned (the variance alone in colour), output."""
    (model,) = line.models
    layer, images = measured.layer(model, 1)
    with seeding.global_streams(torch.device("cpu"), 0, "reproduce", "maps"):
        X, B, W, variance, Y = maps(layer, to_float(images.images[0]))
    learned = {"biases B": B, "weights W": W, "variance": variance}
    if len(X) > 1:
        learned = {f"variance, {name}": each[None] for name, each in zip(CHANNELS, variance, strict=True)}
    found = {"input X": X, **learned, "output Y": Y.clamp(0, 1)}
    return [
        Panel(title=f"{model.dataset}: {name}", kind="image", share=name not in learned, image=_listed(values))
        for name, values in found.items()
    ]


def _listed(values: Tensor) -> list[list[list[float]]]:
    """Four decimals: for a drawing and a reader, not for a computation."""
    listed: list[list[list[float]]] = values.double().mul(10**4).round().div(10**4).tolist()
    return listed
