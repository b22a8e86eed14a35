"""What is finished of a reproduction, small enough to be committed: a file of JSON for each model.

A part holds everything that a table reads of a model: its card, and the answer to each question with the outcome of
every image. So a row stays finished where the weights are gone, and another machine goes on with what is left.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from advtool import documents
from advtool.checkpoints import Header
from advtool.errors import InputError
from advtool.evaluation.ledger import Ledger
from advtool.evaluation.settings import Settings
from advtool.files import read_bytes, write_atomically
from advtool.models.noise import PNIL
from advtool.reproduce.steps import Model, Question
from advtool.results import CLEAN, Evaluation, Outcome, Outcomes, Reused
from advtool.results.record import Record
from advtool.training.loop import Diverged

READ_OF_METRICS = ("validation_images", "clean_accuracy", "one_step_accuracy")


class Answer(Record):
    """The answer to a question, with the outcome of every image. Margins and steps of the search are not kept."""

    images: int | None
    settings: dict[str, Any]
    origin: Reused
    evaluation: Evaluation
    outcomes: dict[str, str]
    """by stage: a digit for each image, a value of :class:`advtool.results.Outcome`"""
    on_examples: dict[str, str]
    """by one-step attack: 1 for each image whose example is classified right, else 0"""
    probes: list[str]

    @model_validator(mode="after")
    def _every_image_has_an_outcome(self) -> Self:
        known = {"".join(str(int(each)) for each in Outcome): self.outcomes, "01": self.on_examples}
        attacks = self.evaluation.attacks
        one_step = {attack.name for attack in attacks if attack.accuracy_on_examples is not None}
        if not {CLEAN, *(attack.name for attack in attacks)} <= self.outcomes.keys():
            raise ValueError("a stage has no outcomes")
        if self.on_examples.keys() != one_step:
            raise ValueError("on_examples: not the one-step attacks")
        for digits, stages in known.items():
            for stage, written in stages.items():
                if len(written) != self.evaluation.clean.total or written.strip(digits):
                    raise ValueError(f"stage {stage}: not one outcome for each image")
        return self

    @classmethod
    def of(cls, question: Question, result: Evaluation, origin: Reused) -> Self:
        """What is kept of a result."""
        found = result.outcomes
        return cls(
            images=question.images,
            settings=asdict(question.settings),
            origin=origin,
            evaluation=result,
            outcomes={stage: _digits(found.of(stage)) for stage in found.stages},
            on_examples={stage: _digits(right) for stage, right in found.on_examples.items()},
            probes=sorted(found.probes),
        )

    def answers(self, question: Question) -> bool:
        """Whether this is the question. A setting that is younger than the answer has its default."""
        with suppress(InputError):  # of a setting that is no more
            return self.images == question.images and Settings.of(_tuples(self.settings)) == question.settings
        return False

    def result(self) -> Evaluation:
        """The evaluation with its outcomes."""
        _, *stages = self.outcomes
        ledger = Ledger(stages, self.evaluation.clean.total, one_step=self.on_examples, probes=self.probes)
        found: Outcomes = ledger.outcomes
        for place, digits in enumerate(self.outcomes.values()):
            found.outcome[place] = _values(digits)
        for stage, digits in self.on_examples.items():
            found.on_examples[stage][:] = _values(digits).bool()
        return self.evaluation.with_outcomes(found)


class Layer(Record):
    """The noise layer that a model learned: nested lists of its W and B, each (C, H, W)."""

    W: list[list[list[float]]]
    B: list[list[list[float]]]

    @model_validator(mode="after")
    def _both_are_of_the_images_shape(self) -> Self:
        if torch.tensor(self.W).shape != torch.tensor(self.B).shape:
            raise ValueError("W and B differ in shape")
        return self

    @classmethod
    def of(cls, layer: PNIL) -> Self:
        """To six decimals: for a drawing and a reader."""
        W, B = (values.detach().double().mul(10**6).round().div(10**6).tolist() for values in (layer.W, layer.B))
        return cls(W=W, B=B)

    def module(self) -> PNIL:
        """The layer, on the CPU."""
        W, B = torch.tensor(self.W), torch.tensor(self.B)
        made = PNIL(W.shape)
        made.load_state_dict({"W": W, "B": B})
        return made


class Turns(Record):
    """The seconds of each epoch of a timing, by the model's name."""

    origin: Reused
    seconds: dict[str, list[PositiveFloat]]


class Part(Record):
    """A model that was trained, and what it answered."""

    schema_name: Literal["advtool.part/1"] = Field(default="advtool.part/1", alias="schema")
    card: Header
    """without the history of its epochs"""
    sha256: str
    """of its checkpoint"""
    weights: str
    """a fingerprint of its tensors alone"""
    source: str | None = None
    """the same of the model whose examples it trained on; None: it made its own"""
    origin: Reused
    layer: Layer | None = None
    answers: list[Answer] = []

    @classmethod
    def of(cls, card: Header, **known: Any) -> Self:
        """Of a model that has not been asked yet; ``known`` are the other fields."""
        metrics = {name: value for name, value in card.metrics.items() if name != "history"}
        return cls(card=card.model_copy(update={"metrics": metrics}), **known)

    def to(self, question: Question) -> Answer | None:
        """The answer to a question; None: it was not asked."""
        return next((each for each in self.answers if each.answers(question)), None)


class Parts:
    """The parts in a folder. What is damaged, or another model's, counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Model, Part] = {}

    def get(self, model: Model) -> Part | None:
        """The part of a model; None if there is none, or it is of other settings.

        Its fixed examples may come from an earlier training of their source: the part says from which.
        """
        if model not in self._read:
            with suppress(OSError, ValueError):
                document = documents.parse(read_bytes(self._path(model), documents.MOST_BYTES))
                self._read[model] = Part.model_validate(document)
        part = self._read.get(model)
        return part if part is not None and is_of(part.card, model) else None

    def put(self, model: Model, part: Part) -> None:
        """Keep it, on disk the whole file or none."""
        self._read[model] = part
        write_atomically(self._path(model), (part.model_dump_json(by_alias=True) + "\n").encode())

    def extend(self, model: Model, answer: Answer) -> None:
        """Keep another answer of a model that has a part."""
        part = self._read[model]
        self.put(model, part.model_copy(update={"answers": [*part.answers, answer]}))

    def add_layer(self, model: Model, layer: Layer) -> None:
        """Keep the noise layer of a model that has a part."""
        self.put(model, self._read[model].model_copy(update={"layer": layer}))

    def note_divergence(self, model: Model, error: Diverged) -> None:
        """Note that the training of a model came to no end."""
        write_atomically(self._path(model, "diverged"), f"{error}\n{_training(model)}".encode())

    def has_diverged(self, model: Model) -> bool:
        """Whether it was noted of this very training: a name does not tell everything. A setting that is younger than
        the note had its default.
        """
        with suppress(OSError, ValueError):
            *_, noted = read_bytes(self._path(model, "diverged"), documents.MOST_BYTES).decode().splitlines()
            return _agree(documents.parse(noted), documents.parse(_training(model)))
        return False

    def _path(self, model: Model, kind: str = "json") -> Path:
        return self._folder / f"{model.name}.{kind}"


def is_of(card: Header, model: Model) -> bool:
    """Whether a card is that of ``model``, trained to its end; from which fixed examples is not asked. It must tell all
    that tables read of it.
    """
    read = {*READ_OF_METRICS, *(["fixed_examples_accuracy"] if model.examples_of else [])}
    if not read <= card.metrics.keys() or "train_images" not in card.recipe:
        return False
    recipe, asked = card.recipe, dict(model.settings)
    wanted = {key: value for key, value in model.resolved.to_dict().items() if key != "precision"}  # the device's
    # A card that is older than a setting was trained with what is its default now.
    same = all(recipe.get(key) == value for key, value in wanted.items() if key in recipe or key in asked)
    limit, images = recipe.get("limit"), recipe["train_images"]
    cut = limit == model.limit or (limit is None and model.limit is not None and images <= model.limit)
    place = (card.dataset, card.architecture.name, card.seed, card.threat_model.eps)
    here = (model.dataset, model.resolved.arch, model.seed, model.eps)
    return same and cut and place == here and card.architecture.sizes == (model.resolved.arch_args or {})


def _training(model: Model) -> str:
    """A line of JSON: all that decides a training, and what the defaults are now."""

    def told(each: Model) -> dict[str, Any]:
        source = None if each.examples_of is None else told(each.examples_of)
        return asdict(each) | {"examples_of": source, "resolved": each.resolved.to_dict()}

    return json.dumps(told(model), default=str) + "\n"


def _agree(noted: Any, told: Any) -> bool:
    """Whether two trainings are the same as far as the older one, ``noted``, tells."""
    if isinstance(noted, dict) and isinstance(told, dict):
        return all(name in told and _agree(value, told[name]) for name, value in noted.items())
    return bool(noted == told)


def _digits(values: Tensor) -> str:
    return "".join(map(str, values.int().tolist()))


def _values(digits: str) -> Tensor:
    return torch.tensor([int(digit) for digit in digits], dtype=torch.uint8)


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them, with their sequences as tuples again."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
