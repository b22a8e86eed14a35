"""Schwinn et al., figure 1: what PNIL learned on MNIST: the input, B, W, the variance, the output.

The text: "the PNIL learns low biases B for the central region of the images, as the objects of interest are located
there" and "small variances in foreground regions and high variances in background regions". No figure is stated.
"""

from collections.abc import Sequence
from functools import partial

from advtool.data import Split, to_float
from advtool.models.noise import PNIL, noise_levels
from advtool.reproduce import pnil, pnil_maps
from advtool.reproduce.laboratory import Measured
from advtool.reproduce.registry import SCHWINN, Content, Reproduction
from advtool.reproduce.scale import Scale
from advtool.reproduce.verdict import DOES_NOT, HOLDS, PARTLY, Judgement, judged_row
from advtool.results import Column, Figure, Row

LOWER = 0.9
"""Noise at most so many times that of the other region is lower."""
CENTRE, BORDER, FOREGROUND, BACKGROUND = "centre", "border", "foreground", "background"
IMAGES = 1000


def judge(centre: float, border: float, foreground: float, background: float) -> Judgement:
    """Noise lower in the centre, and lower on the object: both ``holds``, one ``partly``, none ``does not``.

    Args:
        centre: mean standard deviation of the noise in the centre of the images.
        border: in their border.
        foreground: on pixels of the object.
        background: elsewhere.
    """
    lower = [centre <= LOWER * border, foreground <= LOWER * background]
    why = f"centre {centre / border:.2f} of the border, foreground {foreground / background:.2f} of the background"
    return Judgement({2: HOLDS, 1: PARTLY, 0: DOES_NOT}[sum(lower)], why)


def tabulate(measured: Measured, scale: Scale, datasets: Sequence[str]) -> Content:
    """A row and five images for each data set."""
    rows, panels = [], []
    for dataset in datasets:
        layer = pnil_maps.layer(measured, pnil_maps.model(dataset, scale, pnil.SCALES))
        images = measured.test_images(dataset, IMAGES)
        rows.append(_row(layer, images, dataset))
        panels += pnil_maps.panels(layer, images, dataset, by_channel=False)
    return Content(
        label_columns=("data set", "training"),
        columns=[Column(name=name, unit="noise level") for name in (CENTRE, BORDER, FOREGROUND, BACKGROUND)],
        rows=rows,
        panels=panels,
        notes=(
            f"Mean standard deviation of the noise, a fraction of the pixel range, over {IMAGES} test images at most; "
            f"foreground: pixels above {pnil_maps.FOREGROUND}; centre: the middle half of height and width. At the "
            "start it is 0.135 everywhere. The drawing shows the first of these images.",
        ),
    )


def _row(layer: PNIL, images: Split, dataset: str) -> Row:
    levels, noise = noise_levels(layer, to_float(images.images)), pnil_maps.deviations(layer, images)
    on_object = to_float(images.images) > pnil_maps.FOREGROUND
    values = {
        CENTRE: levels.centre,
        BORDER: levels.border,
        FOREGROUND: noise[on_object].mean().item(),
        BACKGROUND: noise[~on_object].mean().item(),
    }
    judgement = judge(*values.values())
    return judged_row(
        labels=[dataset, pnil.title("nfgsm", pnil=True)],
        figures={name: Figure(ours=value) for name, value in values.items()},
        judgement=judgement,
    )


REPRODUCTION = Reproduction(
    name="pnil-fig1",
    title="Figure 1: what PNIL learned on MNIST",
    paper=SCHWINN,
    claim="PNIL learns low noise where the objects are, in the centre of the images, and high noise in the background.",
    rule="Noise in the centre at most 0.9 of that in the border, and on the object at most 0.9 of that elsewhere: both "
    "holds, one partly, none does not.",
    datasets=("mnist",),
    plan=partial(pnil_maps.plan, budgets=pnil.SCALES),
    tabulate=tabulate,
)
