"""The result of an evaluation as typed data: what the evaluator returns and every report is a view of.

The JSON document is ``advtool.eval/1``. Accuracies are fractions in [0, 1]; intervals are 95 % Wilson
intervals; ``total`` is the number of images evaluated, the misclassified ones included.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Interval = tuple[float, float]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ThreatModel(_Record):
    """What the attacker may do: move every pixel by at most ``eps``, inside the clip range."""

    norm: Literal["linf"] = "linf"
    eps: float
    clip: tuple[float, float] = (0.0, 1.0)


class DatasetInfo(_Record):
    """Which images were evaluated."""

    name: str
    split: str
    images: int


class CleanAccuracy(_Record):
    """Images classified right without an attack, by the prediction rule of the run (``votes``)."""

    correct: int
    total: int
    accuracy: float
    interval: Interval


class ModelCalls(_Record):
    """Images pushed through the model, EOT draws, votes and verification included."""

    forward: int
    backward: int


class AttackResult(_Record):
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

    @model_serializer(mode="wrap")
    def _leave_out_what_does_not_apply(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class EffectiveRobustness(_Record):
    """The paper's Min: the lowest robust accuracy over the attacks that saw every image."""

    accuracy: float
    interval: Interval
    attack: str


class WorstCase(_Record):
    """Images that survive every attack of the run, image by image."""

    robust: int
    total: int
    accuracy: float
    interval: Interval


class Finding(_Record):
    """A warning: what a sceptic should know before believing the numbers."""

    model_config = ConfigDict(frozen=True, extra="allow")

    code: str
    kind: Literal["masking", "strength", "setup"]
    message: str


class Evaluation(_Record):
    """One run's answer. ``to_dict`` is the JSON document of the command line."""

    schema_name: Literal["advtool.eval/1"] = Field(default="advtool.eval/1", alias="schema")
    checkpoint: dict[str, Any] | None
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

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)
