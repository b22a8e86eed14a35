"""Accuracy over eps or over EOT samples, and the smallest eps of each image: the document ``advtool.sweep/1``."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import CleanAccuracy, DatasetInfo, Finding, ModelCalls
from advtool.results.record import Document, Interval, Record, SparseRecord


class PairedChange(Record):
    """How the accuracy changes between two points of a sweep, on the same images."""

    start: int | float
    end: int | float
    difference: float
    """accuracy at ``end`` minus accuracy at ``start``"""
    interval: Interval
    """the 95 % interval of the difference (Newcombe 1998, method 10)"""


class SweepPoint(SparseRecord):
    """Robust accuracy at one value of the sweep. Cost and parameters are None where no attack ran."""

    value: int | float
    """eps, or the number of EOT samples"""
    robust: int
    total: int
    accuracy: float
    interval: Interval
    accuracy_on_examples: float | None = None
    seconds: float | None = None
    model_calls: ModelCalls | None = None
    method: str | None = None
    """of certified points: the bounds that were used"""
    parameters: dict[str, Any] | None = None


class EpsCurve(Record):
    """Robust accuracy under one attack against eps."""

    name: str
    points: list[SweepPoint]
    rise: PairedChange | None
    """the clearest rise from a smaller eps to a larger one; None if chance explains every rise"""


class EotCurve(Record):
    """Robust accuracy under one attack against the EOT samples of its gradient."""

    name: str
    points: list[SweepPoint]
    falls: list[PairedChange]
    """the deepest fall from each point except the last: the change to a larger value whose interval begins lowest"""
    tolerance: float
    """an accuracy that falls by less than this counts as constant"""
    enough: int | None
    """the number of EOT samples that is enough; None if the accuracy may still be falling"""


class _Sweep(SparseRecord, Document):
    schema_name: Literal["advtool.sweep/1"] = Field(default="advtool.sweep/1", alias="schema")
    over: Literal["eps", "eot", "image"]
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    norm: str
    clip: tuple[float, float]
    seed: int
    votes: int
    clean: CleanAccuracy
    worst_case: list[SweepPoint]
    """how many images survive every attack at each value, image by image"""
    certified: list[SweepPoint] | None = None
    """how many images are proved robust at each value where the run certifies; None if none does"""
    warnings: list[Finding]
    """the warnings of all evaluations, each with its ``value`` of the sweep"""
    environment: dict[str, Any]


class EpsSweep(_Sweep):
    """Accuracy against the radius of the ball. All points have the same draws and votes."""

    over: Literal["eps"] = "eps"
    eot: int
    curves: list[EpsCurve]


class EotSweep(_Sweep):
    """Accuracy against the EOT samples of a gradient. All points have the same eps and votes."""

    over: Literal["eot"] = "eot"
    eps: float
    curves: list[EotCurve]


MEDIAN = 0.5
"""The share of the quantile that is the median."""


class EpsQuantile(Record):
    """The smallest eps at which a share of the images is broken. None: larger than every eps that was searched."""

    share: float
    eps: float | None
    interval: tuple[float | None, float | None]
    """95 %, between two order statistics"""


class ImageEps(Record):
    """How near an adversarial example of one image is."""

    index: int
    """in the data set"""
    place: int
    """in the run"""
    label: int
    eps: float | None
    """the distance of the nearest verified example: 0 if the image is misclassified, None if none was found"""
    attack: str | None
    """what found it"""
    prediction: int | None
    """the class of the example, or of the misclassified image; None if there is none"""


class NearestBy(Record):
    """What one attack contributed."""

    name: str
    parameters: dict[str, Any]
    nearest: int
    """for how many images its example is the nearest of all; of equally near ones the first attack's counts"""
    median: EpsQuantile
    """by this attack alone"""
    seconds: float
    model_calls: ModelCalls


class PerImageSweep(_Sweep):
    """The smallest eps that breaks each image. ``worst_case`` is the curve that follows from it."""

    over: Literal["image"] = "image"
    eot: int
    largest: float
    """nothing was searched beyond this eps"""
    misclassified: int
    broken: int
    """classified right, and an adversarial example was found"""
    unbroken: int
    median: EpsQuantile
    quantiles: list[EpsQuantile]
    attacks: list[NearestBy]
    per_image: list[ImageEps]

    def to_lines(self) -> list[dict[str, Any]]:
        """The smallest eps of every image."""
        return [image.model_dump(mode="json") for image in self.per_image]


Sweep = EpsSweep | EotSweep
