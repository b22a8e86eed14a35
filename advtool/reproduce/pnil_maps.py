"""Schwinn et al., figures 1 and 3: what PNIL learned on MNIST and on CIFAR-10. No figure is stated.

The input, B, W (on CIFAR-10 the variance of each channel alone) and the output are drawn. On MNIST "the PNIL learns low
biases B for the central region of the images, as the objects of interest are located there", and "small variances in
foreground regions and high variances in background regions"; on CIFAR-10 it "learns uniform biases B and focuses only
on the intensity of the pixels in each color channel using the weights W".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from advtool import seeding
from advtool.data import Split, to_float
from advtool.models.noise import PNIL, maps, noise_levels
from advtool.reproduce import pnil
from advtool.reproduce.catalogue import Scale
from advtool.reproduce.cells import Cell, noise
from advtool.reproduce.lines import Line, Shown
from advtool.reproduce.measured import Measured
from advtool.reproduce.steps import Budget
from advtool.reproduce.verdict import Judgement, combined, part
from advtool.results import Estimate, Figure, Panel, Row

FIG3_SCALES = pnil.SCALES | {Scale.cpu: Budget(epochs=4, limit=1000, validated=100)}
OBJECT = 0.5
"""Pixels above it are the object: MNIST's and Fashion-MNIST's background is black."""
LOWER = 0.9
REGIONS = (("centre", "border"), ("foreground", "background"))
UNIFORM = 0.1
"""Standard deviation of B / 2 over the pixels of a channel: the noise then differs by a tenth for it."""
FOLLOWS = 0.05
"""Spread of the logarithm of the noise below which a layer has learned too little to say."""
Read = Callable[[PNIL, Split], float]


def rule_of_regions(row: Row) -> Judgement:
    """The noise in the centre is at most 0.9 times that in the border, and that on the object at most 0.9 times that
    elsewhere, where it was measured. Each is true, false where it is the other way round by as much, else open. Of
    several trainings this must be so wherever in their 95 % t intervals both levels are.
    """
    levels = row.evidence
    return combined(*(lower(one, levels[one], other, levels[other]) for one, other in REGIONS if one in levels))


def lower(one: str, inside: Estimate, other: str, outside: Estimate) -> Judgement:
    """The part that one level is lower than another one."""
    (least, most), (low, high) = inside.interval, outside.interval
    found = f"{one} to {other} {inside.value / outside.value:.2f}"
    return part(found, is_true=most <= LOWER * low, is_false=high <= LOWER * least)


def rule_of_intensity(row: Row) -> Judgement:
    """B is uniform: the logarithm of the noise varies by at most 0.1 over the pixels for it. The noise follows the
    intensity: it varies more by it than by B. The second part is open where it varies by less than 0.05 both ways.
    """
    place, intensity = (row.evidence[f"spread by {what}"].value for what in ("B", "intensity"))
    varies, more = max(place, intensity) >= FOLLOWS, intensity > place
    uniform = part(f"by B {place:.3f}, at most {UNIFORM}", is_true=place <= UNIFORM, is_false=place > UNIFORM)
    follows = part(f"by intensity {intensity:.3f}", is_true=varies and more, is_false=varies and not more)
    return combined(uniform, follows)


def deviations(layer: PNIL, images: Split) -> Tensor:
    """The standard deviation of the noise at every pixel of every image, float32 like the images."""
    with torch.no_grad():
        return torch.exp(layer.sigma(to_float(images.images)) / 2)


def level(region: str, layer: PNIL, images: Split) -> float:
    """The mean standard deviation of the noise in a region, a fraction of the pixel range."""
    x, noise = to_float(images.images), deviations(layer, images)
    if region in ("centre", "border"):
        return float(getattr(noise_levels(layer, x), region))
    return noise[(x > OBJECT) == (region == "foreground")].mean().item()


def by_place(layer: PNIL, images: Split) -> float:  # noqa: ARG001 - B does not depend on them
    """How much the logarithm of the noise, ``(X W + B) / 2``, varies by B over the pixels of a channel."""
    return (layer.B.detach() / 2).flatten(1).std(dim=1).mean().item()


def by_intensity(layer: PNIL, images: Split) -> float:
    """How much it varies by X W over images."""
    return (to_float(images.images) * layer.W.detach() / 2).std(dim=0).mean().item()


READINGS: dict[str, Read] = {
    "noise": lambda layer, images: deviations(layer, images).mean().item(),
    "spread by B": by_place,
    "spread by intensity": by_intensity,
}


def line(budget: Budget, dataset: str, readings: Mapping[str, Read], images: int) -> Line:
    """NFGSM with PNIL on the data set's own split: the paper does not say which training its figures show."""

    def cell(read: Read) -> Cell:
        return Cell(read=lambda m, model: Figure(ours=read(*m.layer(model, images))), unit="noise level", learned=True)

    models = pnil.models(replace(budget, folds=0), dataset, "nfgsm", pnil.LARGER_EPS[dataset], pnil=True)
    cells = {name: cell(read) for name, read in readings.items()}
    labels, evidence = (dataset, pnil.title("nfgsm", pnil=True)), {name: Shown(name) for name in cells}
    return Line(labels=labels, cells=cells, models=models, evidence=evidence | pnil.width_of(models[0]))


def regions(scale: Scale, dataset: str) -> Iterator[Line]:
    """The one model of figure 1, and where a scale has all folds of table 1, what each training noted of its layer."""
    budget = pnil.budget_of(pnil.SCALES, scale, dataset)
    yield line(budget, dataset, {name: partial(level, name) for pair in REGIONS for name in pair}, 1000)
    if budget.folds == pnil.PAPERS_BUDGET.folds:
        yield from (of_folds(budget, dataset, recipe) for recipe in pnil.ONE_STEP)


def of_folds(budget: Budget, dataset: str, recipe: str) -> Line:
    """The models of table 1 with PNIL; the levels are of validation images."""
    models = pnil.models(budget, dataset, recipe, pnil.LARGER_EPS[dataset], pnil=True)
    cells = {name: noise(f"noise_{name}") for name in REGIONS[0]}
    labels = (dataset, f"{pnil.title(recipe, pnil=True)}, {budget.folds} folds")
    return Line(labels=labels, cells=cells, models=models, evidence={name: Shown(name) for name in cells})


def intensity(scale: Scale, dataset: str) -> Iterator[Line]:
    """The one model of figure 3."""
    yield line(pnil.budget_of(FIG3_SCALES, scale, dataset), dataset, READINGS, 500)


def pictures(measured: Measured, line: Line) -> list[Panel]:
    """The first test image as the paper draws it: input, what was learned (the variance alone in colour), output.

    None of a line of several models.
    """
    model, *others = line.models
    if others:
        return []
    layer, images = measured.layer(model, 1)
    with seeding.global_streams(torch.device("cpu"), 0, "reproduce", "maps"):
        X, B, W, variance, Y = maps(layer, to_float(images.images[0]))
    learned = {"biases B": B, "weights W": W, "variance": variance}
    if len(X) > 1:
        learned = {
            f"variance, {name}": each[None] for name, each in zip(("red", "green", "blue"), variance, strict=True)
        }
    found = {"input X": X, **learned, "output Y": Y.clamp(0, 1)}
    # Four decimals: for a drawing and a reader, not for a computation.
    lists = {name: values.double().mul(10**4).round().div(10**4).tolist() for name, values in found.items()}
    return [
        Panel(title=f"{model.dataset}: {name}", kind="image", share=name not in learned, image=image)
        for name, image in lists.items()
    ]


FIG1 = pnil.table(
    name="pnil-fig1",
    claim="PNIL learns low noise where the objects are, in the centre of the images, and high noise in the background.",
    rule=rule_of_regions,
    rules=(combined,),
    datasets=("mnist",),
    label_columns=("data set", "training"),
    readings=("training",),
    lines=regions,
    pictures=pictures,
    notes=(
        "Mean standard deviation of the noise, a fraction of the pixel range, over 1000 test images at most, the "
        "first of which is drawn; foreground: pixels above 0.5; centre: the middle half of height and width. At the "
        "start it is 0.135 everywhere.",
        "Folds: the models of table 1 at the larger eps, each as it was on validation images in the epoch of the "
        "lowest loss, with the mean and the standard deviation over them. The paper does not say which training its "
        "figure shows.",
    ),
)

FIG3 = pnil.table(
    name="pnil-fig3",
    claim="On images whose objects are not in the centre PNIL learns a uniform B, and its noise follows the intensity "
    "of the pixels.",
    rule=rule_of_intensity,
    rules=(combined,),
    smaller_refutes_nothing=True,
    label_columns=("data set", "training"),
    lines=intensity,
    pictures=pictures,
    notes=(
        "Noise: mean standard deviation, a fraction of the pixel range. Spread: standard deviation of the logarithm "
        "of the noise, by B over the pixels of a channel, by X W over 500 test images at most, the first of which "
        "is drawn.",
    ),
)
