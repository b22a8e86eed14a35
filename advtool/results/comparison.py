"""Two runs compared image by image: the document ``advtool.compare/1``. Accuracies are fractions."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import DatasetInfo
from advtool.results.record import Document, Interval, Record
from advtool.threat import ThreatModel


class PairedAccuracy(Record):
    """An accuracy of two runs, a and b, on the same images."""

    accuracy_a: float
    accuracy_b: float
    difference: float
    """a minus b"""
    interval: Interval
    """of the difference, 95 % (Newcombe 1998, method 10)"""
    only_a: int
    """images that count in a alone"""
    only_b: int
    p_value: float
    """of the exact, two-sided McNemar test; not corrected for the number of comparisons"""


class PairedAttack(PairedAccuracy):
    """Robust accuracy under an attack that both runs made on every image."""

    name: str


class PairedMinimum(PairedAccuracy):
    """The effective robustness of each run: of the lowest of its attacks, which may be another in a than in b."""

    attack_a: str
    attack_b: str


class ComparedRun(Record):
    """One side of a comparison; ``dataset.images`` are all that the run saw."""

    run: str
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    threat_model: ThreatModel
    seed: int
    eot: int
    votes: int


class Comparison(Document):
    """Two runs, image by image. ``to_dict`` is the JSON document of ``advtool compare``."""

    schema_name: Literal["advtool.compare/1"] = Field(default="advtool.compare/1", alias="schema")
    a: ComparedRun
    b: ComparedRun
    images: int
    """that both runs saw, and that everything here is about"""
    clean: PairedAccuracy
    attacks: list[PairedAttack]
    effective_robustness: PairedMinimum | None
    worst_case: PairedAccuracy
    """images that survive every attack that both runs made, or of two cascades with different attacks every one
    that saw all images in both"""
    notes: list[str]
    """in what else the runs differ than in their model"""
