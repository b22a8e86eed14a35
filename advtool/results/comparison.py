"""Runs compared image by image: two, or the first with each of the others. Accuracies are fractions."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.evaluation import DatasetInfo
from advtool.results.record import Document, Interval, Record, SparseRecord
from advtool.threat import ThreatModel


class PairedAccuracy(Record):
    """An accuracy of two runs, a and b, on the same images."""

    accuracy_a: float
    accuracy_b: float
    difference: float
    """a minus b"""
    interval: Interval
    """the 95 % interval of the difference (Newcombe 1998, method 10)"""
    only_a: int
    """how many images only a has right"""
    only_b: int
    """how many images only b has right"""
    p_value: float
    """of the exact two-sided McNemar test, without a correction for the number of comparisons"""


class PairedAttack(PairedAccuracy):
    """Robust accuracy under an attack that saw every image in both runs."""

    name: str


class PairedMinimum(PairedAccuracy):
    """The effective robustness of each run. The strongest attack may differ between a and b."""

    attack_a: str
    attack_b: str


class ComparedRun(Record):
    """One side of a comparison. ``dataset.images`` counts all images of that run."""

    run: str
    """the folder of the run"""
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    threat_model: ThreatModel
    seed: int
    eot: int
    votes: int


class Comparison(SparseRecord, Document):
    """Two runs, image by image. ``to_dict`` is the JSON document of ``advtool compare``."""

    schema_name: Literal["advtool.compare/1"] = Field(default="advtool.compare/1", alias="schema")
    a: ComparedRun
    b: ComparedRun
    images: int
    """how many images both runs saw; all figures are about them"""
    clean: PairedAccuracy
    attacks: list[PairedAttack]
    effective_robustness: PairedMinimum | None
    worst_case: PairedAccuracy
    """images that survive every attack of both runs; if one run has other attacks too, every attack that saw all images
    in both"""
    certified: PairedAccuracy | None = None
    """images that are proved robust; None if one of the runs proved nothing"""
    notes: list[str]
    """what else differs between the runs, besides the model"""


class SideBySide(Document):
    """Several runs. ``to_dict`` is the JSON document of ``advtool compare`` with more than two."""

    schema_name: Literal["advtool.compare-many/1"] = Field(default="advtool.compare-many/1", alias="schema")
    comparisons: list[Comparison]
    """the first run, which is ``a`` in each, with each of the others"""
