"""The saved adversarial examples of a run, classified again: the document ``advtool.score/1``."""

from typing import Any, Literal

from pydantic import Field

from advtool.results.record import Document, Interval, Record
from advtool.threat import ThreatModel


class RescoredAttack(Record):
    """The saved examples of one attack, classified again."""

    name: str
    examples: int
    """how many examples were saved"""
    originals_correct: int
    """how many of the images behind the examples the model classifies right"""
    fooling: int
    """how many of those images have an example that lies in the ball and the clip range, and is misclassified"""
    share: float | None
    """``fooling`` / ``originals_correct``; None if no original is classified right"""
    interval: Interval | None
    """the 95 % Wilson interval of ``share``"""


class Score(Document):
    """How many saved examples of a run fool a model. ``to_dict`` is the JSON document."""

    schema_name: Literal["advtool.score/1"] = Field(default="advtool.score/1", alias="schema")
    run: str
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    same_model: bool
    """the run was made with this model"""
    agrees: bool | None
    """every example fools again; None for another model, and for a random model"""
    threat_model: ThreatModel
    seed: int
    votes: int
    attacks: list[RescoredAttack]
