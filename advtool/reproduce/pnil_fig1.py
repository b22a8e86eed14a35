"""Schwinn et al., figure 1: what PNIL learned on MNIST: the input, B, W, the variance, the output.

"The PNIL learns low biases B for the central region of the images, as the objects of interest are located there", and
"small variances in foreground regions and high variances in background regions". No figure is stated.
"""

from collections.abc import Iterator
from functools import partial

from advtool.data import Split, to_float
from advtool.models.noise import PNIL, noise_levels
from advtool.reproduce import maps, pnil
from advtool.reproduce.registry import Scale
from advtool.reproduce.table import Line, learned
from advtool.reproduce.verdict import Judgement, combined, part
from advtool.results import Row

OBJECT = 0.5
"""Pixels above it are the object: MNIST's and Fashion-MNIST's background is black."""
LOWER = 0.9
REGIONS = (("centre", "border"), ("foreground", "background"))


def rule(row: Row) -> Judgement:
    """The noise in the centre is at most 0.9 times that in the border, and that on the object at most 0.9 times that
    elsewhere. Each is true, false where it is the other way round by as much, else open.
    """
    levels = {name: estimate.value for name, estimate in row.evidence.items()}
    ratios = {f"{one} to {other}": levels[one] / levels[other] for one, other in REGIONS}
    parts = [part(f"{name} {r:.2f}", is_true=r <= LOWER, is_false=r >= 1 / LOWER) for name, r in ratios.items()]
    return combined(*parts)


def level(region: str, layer: PNIL, images: Split) -> float:
    """The mean standard deviation of the noise in a region, a fraction of the pixel range."""
    x, noise = to_float(images.images), maps.deviations(layer, images)
    if region in ("centre", "border"):
        return float(getattr(noise_levels(layer, x), region))
    return noise[(x > OBJECT) == (region == "foreground")].mean().item()


def lines(scale: Scale, dataset: str) -> Iterator[Line]:
    """The one model."""
    cells = {name: learned(partial(level, name), 1000) for pair in REGIONS for name in pair}
    yield maps.line(pnil.SCALES[scale], dataset, cells)


TABLE = pnil.table(
    name="pnil-fig1",
    claim="PNIL learns low noise where the objects are, in the centre of the images, and high noise in the background.",
    rule=rule,
    rules=(combined,),
    datasets=("mnist",),
    label_columns=("data set", "training"),
    lines=lines,
    pictures=maps.pictures,
    notes=(
        "Mean standard deviation of the noise, a fraction of the pixel range, over 1000 test images at most, the "
        "first of which is drawn; foreground: pixels above 0.5; centre: the middle half of height and width. At the "
        "start it is 0.135 everywhere.",
    ),
)
