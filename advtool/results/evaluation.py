"""What one evaluation returns: the document ``advtool.eval/1``.

Accuracies are fractions in [0, 1]; their intervals are 95 % Wilson intervals; ``total`` counts all evaluated images,
the misclassified ones included.
"""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr

from advtool.results.outcomes import Outcomes
from advtool.results.record import Document, Interval, Record, SparseRecord
from advtool.threat import ThreatModel


class DatasetInfo(SparseRecord):
    """Which images were evaluated."""

    name: str
    split: str
    images: int
    classes: list[str] | None = None
    """the names of the classes, by label, where they are more than numbers"""


class CleanAccuracy(Record):
    """Images classified right without an attack, by the prediction rule of the run (``votes``)."""

    correct: int
    total: int
    accuracy: float
    interval: Interval


class ModelCalls(Record):
    """Images pushed through the model, EOT draws, votes and verification included."""

    forward: int
    backward: int


class AttackResult(SparseRecord):
    """Robust accuracy under one attack.

    An image is robust if it is classified right and no verified adversarial example was found. In a cascade
    an attack sees survivors only and gives ``survivors_in`` and ``survivors_out`` in place of an accuracy.
    """

    name: str
    parameters: dict[str, Any]
    total: int
    robust: int | None = None
    accuracy: float | None = None
    interval: Interval | None = None
    survivors_in: int | None = None
    survivors_out: int | None = None
    seconds: float
    model_calls: ModelCalls
    accuracy_on_examples: float | None = None


class EffectiveRobustness(Record):
    """The paper's Min: the lowest robust accuracy over the attacks that saw every image."""

    accuracy: float
    interval: Interval
    attack: str


class WorstCase(Record):
    """Images that survive every attack of the run, image by image."""

    robust: int
    total: int
    accuracy: float
    interval: Interval


class Finding(Record):
    """A warning: what a sceptic should know before believing the numbers."""

    model_config = ConfigDict(frozen=True, extra="allow")

    code: str
    kind: Literal["masking", "strength", "setup"]
    message: str


class Evaluation(Document):
    """One run's answer. ``to_dict`` is the JSON document of the command line."""

    schema_name: Literal["advtool.eval/1"] = Field(default="advtool.eval/1", alias="schema")
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    """where it comes from, ``spec`` as the user wrote it, and its ``fingerprint``"""
    dataset: DatasetInfo
    threat_model: ThreatModel
    seed: int
    eot: int
    votes: int
    clean: CleanAccuracy
    attacks: list[AttackResult]
    effective_robustness: EffectiveRobustness | None
    worst_case: WorstCase
    warnings: list[Finding]
    environment: dict[str, Any]

    _outcomes: Outcomes | None = PrivateAttr(None)

    @property
    def outcomes(self) -> Outcomes:
        """What became of every image in every stage. It is no part of the JSON document.

        Raises:
            AttributeError: this result was read from JSON alone.
        """
        if self._outcomes is None:
            raise AttributeError("a result that was read from JSON alone has no outcomes")
        return self._outcomes

    def with_outcomes(self, outcomes: Outcomes) -> Self:
        """The same result, which knows what became of every image."""
        known = self.model_copy()
        known._outcomes = outcomes
        return known
