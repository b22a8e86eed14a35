"""What figures 1 and 3 of the second paper share: a model with PNIL, its maps as panels, its noise as figures."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from advtool import models, seeding
from advtool.data import Split, to_float
from advtool.models.noise import PNIL, Maps, input_pnil, maps
from advtool.reproduce import pnil
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.plan import Model, Plan
from advtool.reproduce.pnil import FITTED_EPS, Budget
from advtool.reproduce.scale import Scale
from advtool.results import Panel

FOREGROUND = 0.5
"""Pixels above it are the object: MNIST's and Fashion-MNIST's background is black."""
CHANNELS = ("red", "green", "blue")
DIGITS_KEPT = 4


def model(dataset: str, scale: Scale, budgets: dict[Scale, Budget]) -> Model:
    """NFGSM with PNIL on the data set's own split; the paper does not say which training its figures show."""
    return pnil.model(dataset, "nfgsm", budgets[scale], eps=FITTED_EPS[dataset], pnil=True, fold=None)


def plan(scale: Scale, datasets: Sequence[str], budgets: dict[Scale, Budget]) -> Plan:
    """The models alone: nothing is attacked."""
    trained = replace(budgets[scale], repeats=None, images=None)
    return Plan(models=tuple(model(dataset, scale, budgets) for dataset in datasets), cuts=trained.cuts(datasets))


def layer(measured: Measured, trained: Model) -> PNIL:
    """The PNIL of a trained model, on the CPU."""
    found = input_pnil(models.load_checkpoint(measured.files[trained]))
    assert found is not None, trained.name
    return found


def deviations(pnil_layer: PNIL, images: Split) -> Tensor:
    """The standard deviation of the noise at every pixel of every image, float32 like the images."""
    with torch.no_grad():
        return torch.exp(pnil_layer.sigma(to_float(images.images)) / 2)


def panels(pnil_layer: PNIL, images: Split, dataset: str, *, by_channel: bool) -> list[Panel]:
    """The first test image as the paper draws it: input, what was learned, output.

    Args:
        pnil_layer: of a trained model.
        images: test images.
        dataset: for the titles.
        by_channel: a map for each colour channel, and the variance alone, as in figure 3; else B, W and the
            variance, as in figure 1.
    """
    with seeding.global_streams(torch.device("cpu"), 0, "reproduce", "maps"):
        shown = maps(pnil_layer, to_float(images.images[0]))
    learned = _by_channel(shown, dataset) if by_channel else _grey(shown, dataset)
    return [
        Panel(title=f"{dataset}: input X", kind="image", image=_listed(shown.X)),
        *learned,
        Panel(title="output Y", kind="image", image=_listed(shown.Y.clamp(0, 1))),
    ]


def _grey(shown: Maps, dataset: str) -> list[Panel]:
    named = {"biases B": shown.B, "weights W": shown.W, "variance": shown.variance}
    return [
        Panel(title=f"{dataset}: {name}", kind="image", share=False, image=_listed(values.mean(0, keepdim=True)))
        for name, values in named.items()
    ]


def _by_channel(shown: Maps, dataset: str) -> list[Panel]:
    return [
        Panel(title=f"{dataset}: variance, {name}", kind="image", share=False, image=_listed(values[None]))
        for name, values in zip(CHANNELS, shown.variance, strict=False)
    ]


def _listed(values: Tensor) -> list[list[list[float]]]:
    """Four decimals: for a drawing and a reader, not for a computation."""
    rounded = values.double().mul(10**DIGITS_KEPT).round().div(10**DIGITS_KEPT)
    listed: list[list[list[float]]] = rounded.tolist()
    return listed
