"""What the page of ``advtool report`` shows: finished runs with their images, sweeps, and runs compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from advtool.results.checklist import Checklist
from advtool.results.comparison import Comparison
from advtool.results.evaluation import CleanAccuracy, Evaluation, WorstCase
from advtool.results.sweep import Sweep


@dataclass(frozen=True)
class ClassAccuracy:
    """The accuracies on the images of one class, counted like those of the run."""

    label: int
    clean: CleanAccuracy
    worst_case: WorstCase


@dataclass(frozen=True, eq=False)
class ShownExample:
    """A verified adversarial example with its image."""

    index: int
    """of the image in its data set"""
    label: int
    attack: str
    clean_prediction: int
    prediction: int
    """the class of the example; -1 where its scores are not finite"""
    original: Tensor
    """float32 (C, H, W) in [0, 1]"""
    image: Tensor
    """float32 (C, H, W): the example"""


@dataclass(frozen=True)
class PageRun:
    """A finished run."""

    name: str
    """its folder, as the user wrote it"""
    result: Evaluation
    """with its outcomes"""
    checklist: Checklist
    command: str | None
    """what repeats the run; None if an older version began it, which did not note its settings"""
    classes: Sequence[ClassAccuracy]
    """of the classes that the images have, by label"""
    examples: Sequence[ShownExample]


@dataclass(frozen=True)
class PageSweep:
    """The finished runs of a sweep."""

    name: str
    """its folder, as the user wrote it"""
    result: Sweep
    missing: Sequence[float]
    """the values whose runs are not finished"""


@dataclass(frozen=True)
class PagePair:
    """Two runs of the page, the first and another one."""

    a: str
    b: str
    result: Comparison | str
    """in words why they cannot be compared"""


@dataclass(frozen=True)
class Page:
    """All that one page shows."""

    runs: Sequence[PageRun]
    sweeps: Sequence[PageSweep]
    pairs: Sequence[PagePair]
