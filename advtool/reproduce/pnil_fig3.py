"""Schwinn et al., figure 3: what PNIL learned on CIFAR-10: the input, the variance of each channel, the output.

The text: there "the PNIL learns uniform biases B and focuses only on the intensity of the pixels in each color
channel using the weights W". No figure is stated.
"""

from collections.abc import Sequence
from functools import partial
from math import exp

import torch

from advtool.data import Split, to_float
from advtool.models.noise import PNIL
from advtool.reproduce import pnil, pnil_maps
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.pnil import Budget
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import DOES_NOT, HOLDS, PARTLY, Judgement, judged_row
from advtool.results import Column, Figure, Row

SCALES = {
    Scale.smoke: pnil.SCALES[Scale.smoke],
    Scale.cpu: Budget(epochs=4, limit=1000, validated=100, images=200, repeats=1),
    Scale.paper: pnil.SCALES[Scale.paper],
}
UNIFORM = 0.1
"""Standard deviation of B / 2 over the pixels of a channel: the noise then differs by a tenth for it."""
FOLLOWS = 0.05
"""The same of X W / 2 over images, from which on the noise follows the intensity; where W = 0 it does not."""
IMAGES = 500
BY_B, BY_INTENSITY, LEVEL = "spread by B", "spread by intensity", "noise"


def judge(by_place: float, by_intensity: float) -> Judgement:
    """B uniform, and a noise that follows the intensity of the pixels, more than their place.

    Both: ``holds``; the second alone: ``partly``; else ``does not``: B is uniform before any training.

    Args:
        by_place: standard deviation, over the pixels of a channel, of the logarithm of the noise that B makes.
        by_intensity: the same over images, of what X W makes.
    """
    follows = by_intensity >= FOLLOWS and by_intensity > by_place
    met = [by_place <= UNIFORM and follows, follows]
    why = f"the noise differs by a factor of {exp(by_place):.2f} by place, {exp(by_intensity):.2f} by intensity"
    return Judgement({2: HOLDS, 1: PARTLY, 0: DOES_NOT}[sum(met)], why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row for each data set, and the images of the figure."""
    rows, panels = [], []
    for dataset in datasets:
        layer = pnil_maps.layer(measured, pnil_maps.model(dataset, scale, SCALES))
        images = measured.test_images(dataset, IMAGES)
        rows.append(_row(layer, images, dataset))
        panels += pnil_maps.panels(layer, images, dataset, by_channel=True)
    return Content(
        label_columns=("data set", "training"),
        columns=[Column(name=name, unit="noise level") for name in (LEVEL, BY_B, BY_INTENSITY)],
        rows=rows,
        panels=panels,
        notes=(
            "Noise: mean standard deviation, a fraction of the pixel range. Spread: standard deviation of the "
            f"logarithm of the noise, by B over the pixels of a channel, by X W over {IMAGES} test images at most. "
            "The drawing shows the first of these images.",
        ),
    )


def spreads(layer: PNIL, images: Split) -> tuple[float, float]:
    """How much the logarithm of the noise varies by B, over pixels, and by X W, over images.

    ``log exp(Sigma / 2) = (X W + B) / 2``.
    """
    with torch.no_grad():
        by_place = (layer.B / 2).flatten(1).std(dim=1).mean().item()
        by_intensity = (to_float(images.images) * layer.W / 2).std(dim=0).mean().item()
    return by_place, by_intensity


def _row(layer: PNIL, images: Split, dataset: str) -> Row:
    by_place, by_intensity = spreads(layer, images)
    level = pnil_maps.deviations(layer, images).mean().item()
    judgement = judge(by_place, by_intensity)
    return judged_row(
        labels=[dataset, pnil.title("nfgsm", pnil=True)],
        figures={LEVEL: Figure(ours=level), BY_B: Figure(ours=by_place), BY_INTENSITY: Figure(ours=by_intensity)},
        judgement=judgement,
    )


REPRODUCTION = Reproduction(
    name="pnil-fig3",
    title="Figure 3: what PNIL learned on CIFAR-10",
    paper=SCHWINN,
    claim="On images whose objects are not in the centre PNIL learns a uniform B, and its noise follows the intensity "
    "of the pixels.",
    rule="B is uniform (the logarithm of the noise varies by at most 0.1 over the pixels for it), and the noise varies "
    "more by intensity than by place, and by 0.05 at least: both holds, the second alone partly, else does not.",
    datasets=("cifar10",),
    plan=partial(pnil_maps.plan, budgets=SCALES),
    tabulate=tabulate,
)
