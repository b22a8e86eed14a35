"""Results over several runs as typed data: two runs compared, and one evaluation repeated with several seeds.

The JSON documents are ``advtool.compare/1`` and ``advtool.eval-seeds/1``. Accuracies and their differences are
fractions.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from advtool.results import DatasetInfo, Evaluation, Interval, ThreatModel


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PairedAccuracy(_Record):
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


class ComparedRun(_Record):
    """One side of a comparison; ``dataset.images`` are all that the run saw."""

    run: str
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    threat_model: ThreatModel
    seed: int
    eot: int
    votes: int


class Comparison(_Record):
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

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


class Spread(_Record):
    """One accuracy over several seeds."""

    mean: float
    standard_deviation: float
    """of the sample: n - 1 in the denominator"""
    lowest: float
    highest: float


class AttackSpread(Spread):
    """Robust accuracy under one attack over several seeds."""

    name: str


class SeedsSummary(_Record):
    """How much the seed matters; attacks without an accuracy of their own are left out."""

    clean: Spread
    attacks: list[AttackSpread]
    effective_robustness: Spread | None
    worst_case: Spread


class SeedsEvaluation(_Record):
    """One evaluation with several seeds. ``to_dict`` is the JSON document of ``advtool eval --seeds``."""

    schema_name: Literal["advtool.eval-seeds/1"] = Field(default="advtool.eval-seeds/1", alias="schema")
    seeds: list[int]
    summary: SeedsSummary
    evaluations: list[Evaluation]
    """one for each seed"""

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)
