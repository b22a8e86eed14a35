"""The result of one evaluation: the document ``advtool.eval/1``.

Accuracies are fractions in [0, 1], and their intervals are 95 % Wilson intervals. ``total`` counts all evaluated
images, also the misclassified ones.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, PrivateAttr

from advtool.results.metrics import flat
from advtool.results.outcomes import Outcomes
from advtool.results.record import Document, Interval, Record, SparseRecord
from advtool.threat import ThreatModel


class DatasetInfo(SparseRecord):
    """Which images were evaluated."""

    name: str
    split: str
    images: int
    classes: list[str] | None = None
    """the names of the classes, by label; None if the classes are only numbers"""
    path: str | None = None
    """of a data set that was given by its path: as the user wrote it"""
    classes_file: str | None = None
    """the file that maps class names to outputs, as the user wrote it"""
    input_size: str | None = None
    """the size that the user asked for, as it was written"""


class CleanAccuracy(Record):
    """How many images are classified right without an attack, by the votes of the run."""

    correct: int
    total: int
    accuracy: float
    interval: Interval


class ModelCalls(Record):
    """Images pushed through the model, with EOT samples, votes and verification."""

    forward: int
    backward: int

    def __add__(self, other: "ModelCalls") -> "ModelCalls":
        return ModelCalls(forward=self.forward + other.forward, backward=self.backward + other.backward)


class AttackResult(SparseRecord):
    """Robust accuracy under one attack.

    An image is robust if it is classified right and no verified adversarial example was found. A later attack of a
    cascade sees survivors only; it gives ``survivors_in`` and ``survivors_out`` instead of an accuracy.
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
    """one-step attacks only: the accuracy on the final examples of all images"""
    given_up: int | None = None
    """on how many images the attack stopped early, because they were out of its reach; they count as robust; None: on
    none"""


class EffectiveRobustness(Record):
    """The lowest robust accuracy over the attacks that saw every image (Schwinn et al., Min)."""

    accuracy: float
    interval: Interval
    attack: str


class WorstCase(Record):
    """How many images survive every attack of the run, image by image."""

    robust: int
    total: int
    accuracy: float
    interval: Interval


class Certified(Record):
    """How many images are proved robust: no adversarial example exists in the ball, whatever the attack."""

    robust: int
    total: int
    accuracy: float
    interval: Interval
    method: str
    """the bounds that proved it, e.g. ``CROWN``"""
    seconds: float


class Planted(Record):
    """How many adversarial examples, planted on purpose into copies of the model, the attacks found."""

    found: int
    total: int
    attack: str
    """as it was asked for, e.g. ``audit``; several joined by commas"""
    found_by: dict[str, int]
    """how many each attack found, in turn; a later one saw what the earlier ones left"""
    seconds: float


class EpsPoint(Record):
    """What PGD leaves of the diagnosed images at one eps."""

    eps: float
    robust: int
    accuracy: float


class Diagnostics(Record):
    """What a cascade asked of its diagnosed images. Shares are fractions in [0, 1]."""

    images: int
    by_eps: list[EpsPoint]
    """at the run's eps and at the probed ones, from small to large; empty where PGD left too little to diagnose"""
    saturated: float
    """share of images whose largest softmax output is exactly 1 in float32"""
    vanishing: float
    """share of images whose gradient of the cross entropy is zero in every pixel"""
    blind: float
    """share of images whose gradient of the margin is zero or NaN in every pixel"""
    undefined: float
    """share of entries that are NaN in the gradients of the margin"""


class SingleDraw(Record):
    """How often a single draw of a random model is right at the worst points that the attacks found.

    An image's point is the one of lowest margin by votes, of the image itself and of the candidates of all attacks at
    the run's eps. So it is the verified adversarial example if there is one. It is asked for fresh draws, each on its
    own.
    """

    draws: int
    """of each point"""
    total: int
    accuracy: float
    """the share of all draws that are right"""
    interval: Interval
    """over images, for a single draw of each"""


class KnownNoise(Record):
    """Robust accuracy if the attacker knows the noise: it is held fixed while the attack searches and is judged."""

    fields: int
    """how many fields of noise were tried, each with an attack of its own"""
    robust: list[int]
    """how many images held in each field"""
    total: int
    accuracy: float
    """the mean over the fields"""
    attack: str
    seconds: float


FindingKind = Literal["masking", "strength", "setup"]
"""The gravest first: the gradient misleads; an attack was weaker than another one; range, mode or randomness."""


class Finding(Record):
    """A warning: what a sceptic should know before believing the numbers. Its figures are further fields."""

    model_config = ConfigDict(frozen=True, extra="allow")

    code: str
    kind: FindingKind
    message: str


NO_FIGURES = frozenset({"checkpoint", "model", "dataset", "threat_model", "seed", "eot", "votes", "environment"})
"""Parts of the document that say what was asked, or where."""


@dataclass(frozen=True)
class _Lines:
    """Reads the lines of a result when somebody asks. The outcomes tell the same, so any two of these are equal."""

    read: Callable[[], Iterable[dict[str, Any]]] = field(compare=False)


class Evaluation(SparseRecord, Document):
    """The answer of one run. ``to_dict`` is the JSON document of ``advtool eval``."""

    schema_name: Literal["advtool.eval/1"] = Field(default="advtool.eval/1", alias="schema")
    checkpoint: dict[str, Any] | None
    model: dict[str, Any] = Field(default_factory=dict)
    """where the model comes from: ``spec`` as the user wrote it, the ``fingerprint``, ..."""
    dataset: DatasetInfo
    threat_model: ThreatModel
    seed: int
    eot: int
    votes: int
    clean: CleanAccuracy
    attacks: list[AttackResult]
    effective_robustness: EffectiveRobustness | None
    worst_case: WorstCase
    certified: Certified | None = None
    """None if the run did not certify"""
    undecided: int | None = None
    """how many images are neither broken nor certified; None if the run did not certify"""
    single_draw: SingleDraw | None = None
    """None if the model is not random"""
    known_noise: KnownNoise | None = None
    """None if the model is not random, or the run is no cascade"""
    planted: Planted | None = None
    """None if nothing was planted"""
    warnings: list[Finding]
    diagnostics: Diagnostics | None = None
    """None if the run is no cascade"""
    environment: dict[str, Any]

    _outcomes: Outcomes | None = PrivateAttr(None)
    _lines: _Lines | None = PrivateAttr(None)

    @property
    def outcomes(self) -> Outcomes:
        """The outcome of every image in every stage. The JSON document does not hold it.

        Raises:
            AttributeError: this result was read from JSON, which holds no outcomes.
        """
        if self._outcomes is None:
            raise AttributeError("a result that was read from JSON alone has no outcomes")
        return self._outcomes

    def metrics(self) -> dict[str, float]:
        """The figures as trackers take them, e.g. ``mlflow.log_metrics(result.metrics())``.

        A name is the way to the figure in the document: ``worst_case/accuracy``, ``attacks/pgd/interval_low``. The
        warnings are counted by kind: ``warnings/masking``. A figure that the run does not have is left out.
        """
        document, kinds = self.to_dict(), Counter(warning.kind for warning in self.warnings)
        attacks = {attack.pop("name"): attack for attack in document.pop("attacks")}
        for settings in attacks.values():
            del settings["parameters"]
        figures = {name: part for name, part in document.items() if name not in NO_FIGURES}
        counts = {kind: kinds[kind] for kind in get_args(FindingKind)}
        return flat(figures | {"attacks": attacks, "warnings": counts})

    def to_lines(self) -> Iterable[dict[str, Any]]:
        """The outcome of every image as plain Python data: what ``--format jsonl`` writes, and ``images.jsonl`` holds.

        Raises:
            AttributeError: this result was read from JSON, which holds no outcomes.
        """
        if self._lines is None:
            raise AttributeError("a result that was read from JSON has no outcomes: see images.jsonl in its run")
        return self._lines.read()

    def with_outcomes(self, outcomes: Outcomes, lines: Callable[[], Iterable[dict[str, Any]]] | None = None) -> Self:
        """A copy of this result with the outcome of every image; ``lines`` tells them as plain data."""
        known = self.model_copy()
        known._outcomes, known._lines = outcomes, None if lines is None else _Lines(lines)
        return known
