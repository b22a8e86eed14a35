"""Results as typed data: what an evaluation or a sweep returns and every report is a view of.

The JSON documents are ``advtool.eval/1`` and ``advtool.sweep/1``. Accuracies are fractions in [0, 1]; their
intervals are 95 % Wilson intervals; ``total`` is the number of images evaluated, the misclassified ones included.
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
    classes: list[str] | None = None
    """the names of the classes, by label, where they are more than numbers"""

    @model_serializer(mode="wrap")
    def _leave_out_what_does_not_apply(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


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


class RescoredAttack(_Record):
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


class Score(_Record):
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

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


class Check(_Record):
    """What is understood of a model and its data before anything is attacked. ``to_dict`` is the JSON document."""

    schema_name: Literal["advtool.check/1"] = Field(default="advtool.check/1", alias="schema")
    checkpoint: dict[str, Any] | None
    model: dict[str, Any]
    dataset: DatasetInfo
    threat_model: ThreatModel
    eot: int
    votes: int
    classes: int
    input_shape: tuple[int, ...]
    """(C, H, W)"""
    pixel_range: tuple[float, float]
    """of the images"""
    parameters: int
    """numbers in the model's weights"""
    randomness: str
    """how the outputs of identical calls vary: none, each image, each call"""
    state: list[str]
    """buffers and attributes that the model's own calls change"""
    no_gradient: str | None
    """why autograd finds no gradient; None where it finds one"""
    images_a_pass: int
    seconds: float
    """that the attacks take at most, about"""
    clean: CleanAccuracy
    """of the first images, at most 100"""
    chance: float
    """the accuracy of guessing"""
    better_than_chance: bool
    cause: str | None
    """a likely mistake, without which the model would be better than guessing"""
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


class Evaluation(_Record):
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

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


class PairedChange(_Record):
    """How the accuracy changes between two points of a sweep, on the same images."""

    start: int | float
    end: int | float
    difference: float
    """accuracy at ``end`` minus accuracy at ``start``"""
    interval: Interval
    """of the difference, 95 % (Newcombe 1998, method 10)"""


class SweepPoint(_Record):
    """Robust accuracy at one value of what is swept; what an attack cost is left out where none ran."""

    value: int | float
    """eps, or EOT samples"""
    robust: int
    total: int
    accuracy: float
    interval: Interval
    accuracy_on_examples: float | None = None
    seconds: float | None = None
    model_calls: ModelCalls | None = None
    parameters: dict[str, Any] | None = None

    @model_serializer(mode="wrap")
    def _leave_out_what_does_not_apply(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class EpsCurve(_Record):
    """Robust accuracy under one attack against eps."""

    name: str
    points: list[SweepPoint]
    rise: PairedChange | None
    """the clearest rise from a smaller eps to a larger one, if noise does not explain it"""


class EotCurve(_Record):
    """Robust accuracy under one attack against the EOT samples of its gradient."""

    name: str
    points: list[SweepPoint]
    falls: list[PairedChange]
    """for each point but the last the change to the larger one that is lowest by its interval"""
    tolerance: float
    """an accuracy has stopped falling where it falls by less than this"""
    enough: int | None
    """the proposed EOT samples; None if the accuracy is not shown to have stopped falling"""


class _Sweep(_Record):
    schema_name: Literal["advtool.sweep/1"] = Field(default="advtool.sweep/1", alias="schema")
    over: Literal["eps", "eot"]
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    dataset: DatasetInfo
    norm: Literal["linf"]
    clip: tuple[float, float]
    seed: int
    votes: int
    clean: CleanAccuracy
    worst_case: list[SweepPoint]
    """images that survive every attack at that value, image by image"""
    warnings: list[Finding]
    """of the evaluations, each with the ``value`` where it was found"""
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain Python data, ready for :func:`json.dumps`."""
        return self.model_dump(mode="json", by_alias=True)


class EpsSweep(_Sweep):
    """Accuracy against the radius of the ball; every point has the same draws and votes."""

    over: Literal["eps"] = "eps"
    eot: int
    curves: list[EpsCurve]


class EotSweep(_Sweep):
    """Accuracy against the EOT samples of a gradient; every point has the same eps and votes."""

    over: Literal["eot"] = "eot"
    eps: float
    curves: list[EotCurve]


Sweep = EpsSweep | EotSweep
