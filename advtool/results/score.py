"""A run's saved adversarial examples, classified again: the document ``advtool.score/1``."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.record import Document, Interval, Record
from advtool.threat import ThreatModel


class RescoredAttack(Record):
    """The saved examples of one attack, classified again."""

    name: str
    examples: int
    originals_correct: int
    """of them: the model is right about the image that the example was made from"""
    fooling: int
    """of these: the example is in the ball, in the clip range and misclassified"""
    share: float | None
    """``fooling`` of ``originals_correct``"""
    interval: Interval | None


class Score(Document):
    """A run's saved adversarial examples on the same or another model. ``to_dict`` is the JSON document."""

    schema_name: Literal["advtool.score/1"] = Field(default="advtool.score/1", alias="schema")
    run: str
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    same_model: bool
    """it is the model that the run was made with"""
    agrees: bool | None
    """every example fools again; None for another model, or one that is random"""
    threat_model: ThreatModel
    seed: int
    votes: int
    attacks: list[RescoredAttack]
