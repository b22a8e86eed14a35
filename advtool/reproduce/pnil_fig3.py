"""Schwinn et al., figure 3: what PNIL learned on CIFAR-10: the input, the variance of each channel, the output.

There "the PNIL learns uniform biases B and focuses only on the intensity of the pixels in each color channel using the
weights W". No figure is stated.
"""

from collections.abc import Iterator

from advtool.data import Split, to_float
from advtool.models.noise import PNIL
from advtool.reproduce import maps, pnil
from advtool.reproduce.registry import Scale
from advtool.reproduce.steps import Budget
from advtool.reproduce.table import Line, learned
from advtool.reproduce.verdict import Judgement, combined, part
from advtool.results import Row

SCALES = pnil.SCALES | {Scale.cpu: Budget(epochs=4, limit=1000, validated=100)}
UNIFORM = 0.1
"""Standard deviation of B / 2 over the pixels of a channel: the noise then differs by a tenth for it."""
FOLLOWS = 0.05
"""Spread of the logarithm of the noise below which a layer has learned too little to say."""


def rule(row: Row) -> Judgement:
    """B is uniform: the logarithm of the noise varies by at most 0.1 over the pixels for it. The noise follows the
    intensity: it varies more by it than by B. The second part is open where it varies by less than 0.05 both ways.
    """
    place, intensity = (row.evidence[f"spread by {what}"].value for what in ("B", "intensity"))
    varies, more = max(place, intensity) >= FOLLOWS, intensity > place
    uniform = part(f"by B {place:.3f}, at most {UNIFORM}", is_true=place <= UNIFORM, is_false=place > UNIFORM)
    return combined(
        uniform, part(f"by intensity {intensity:.3f}", is_true=varies and more, is_false=varies and not more)
    )


def noise(layer: PNIL, images: Split) -> float:
    """The mean standard deviation of the noise."""
    return maps.deviations(layer, images).mean().item()


def by_place(layer: PNIL, images: Split) -> float:  # noqa: ARG001 - B does not depend on them
    """How much the logarithm of the noise, ``(X W + B) / 2``, varies by B over the pixels of a channel."""
    return (layer.B.detach() / 2).flatten(1).std(dim=1).mean().item()


def by_intensity(layer: PNIL, images: Split) -> float:
    """How much it varies by X W over images."""
    return (to_float(images.images) * layer.W.detach() / 2).std(dim=0).mean().item()


def lines(scale: Scale, dataset: str) -> Iterator[Line]:
    """The one model."""
    readings = {"noise": noise, "spread by B": by_place, "spread by intensity": by_intensity}
    cells = {name: learned(reading, 500) for name, reading in readings.items()}
    yield maps.line(SCALES[scale], dataset, cells)


TABLE = pnil.table(
    name="pnil-fig3",
    claim="On images whose objects are not in the centre PNIL learns a uniform B, and its noise follows the intensity "
    "of the pixels.",
    rule=rule,
    rules=(combined,),
    label_columns=("data set", "training"),
    lines=lines,
    pictures=maps.pictures,
    notes=(
        "Noise: mean standard deviation, a fraction of the pixel range. Spread: standard deviation of the logarithm "
        "of the noise, by B over the pixels of a channel, by X W over 500 test images at most, the first of which "
        "is drawn.",
    ),
)
