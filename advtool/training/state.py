"""The state of a training after an epoch: what a training that was stopped goes on from.

It is a safetensors file beside the output. The header holds a JSON document; :mod:`advtool.tensor_files` adds the
checksums.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from advtool import checkpoints, documents, tensor_files
from advtool.checkpoints import Header
from advtool.data import Split
from advtool.errors import InputError
from advtool.results import Figures
from advtool.settings import option_name

DOCUMENT = "advtool.training"
"""The key of the document in the header."""
PARTS = ("weights", "best", "updates")
"""The fields that hold tensors."""


class Arguments(BaseModel):
    """Arguments of :func:`advtool.training.prepared.prepare` that name the data, in JSON's types."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    recipe: str
    eps: float
    seed: int
    limit: int | None
    data_dir: str
    settings: dict[str, Any]


class Beginning(BaseModel):
    """What a training begins with. Equal beginnings give equal weights.

    Attributes:
        output: the name of the checkpoint's file.
        header: of the checkpoint, without the figures that are measured while training.
        images: fingerprint of the images and labels that train and that validate.
        arguments: with which the training can be resumed by the name of its file; None if its images were passed as
            tensors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: str
    header: Header
    images: str
    arguments: Arguments | None

    def differences(self, other: Self) -> Iterator[str]:
        """Each difference to the ``other`` training, in words."""
        yield from differences(self.header, other.header)
        there, here = (
            (each.images, each.header.architecture.input_shape, each.header.architecture.classes)
            for each in (self, other)
        )
        if there != here:
            yield f"the images of '{self.header.dataset}' are others now"


class State(BaseModel):
    """A training after an epoch.

    Attributes:
        beginning: tells which training it is.
        history: the figures of all epochs so far.
        weights: the model's tensors.
        best: the tensors that the checkpoint of the best epoch has.
        updates: :meth:`advtool.training.schedule.Updates.state`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

    schema_name: Literal["advtool.training/1"] = Field(default="advtool.training/1", alias="schema")
    beginning: Beginning
    history: list[Figures] = Field(min_length=1)
    weights: dict[str, Tensor] = Field(exclude=True)
    best: dict[str, Tensor] = Field(exclude=True)
    updates: dict[str, Tensor] = Field(exclude=True)

    @model_validator(mode="after")
    def _epochs_are_whole(self) -> Self:
        if [figures.epoch for figures in self.history] != list(range(1, len(self.history) + 1)):
            raise ValueError("the epochs of the history are not 1, 2, ...")
        return self


def write(path: Path, state: State) -> None:
    """Write a state atomically; an existing one is replaced."""
    document = json.dumps(state.model_dump(mode="json", by_alias=True))
    tensors = {f"{part}/{name}": tensor for part in PARTS for name, tensor in getattr(state, part).items()}
    tensor_files.write(path, tensors, {DOCUMENT: document})


def read(path: Path) -> State:
    """Read a state.

    Raises:
        InputError: there is none, or it is damaged.
    """
    metadata, tensors = checkpoints.read_file(path)
    document = metadata.get(DOCUMENT)
    if document is None:
        raise InputError(f"'{path}' is no state of a training: 'advtool train' writes them as NAME.state.safetensors")
    try:
        return State.model_validate(documents.parse(document) | {part: _of(part, tensors) for part in PARTS})
    except (ValueError, TypeError) as error:
        where = documents.malformed_at(error)
        raise InputError(f"'{path}' is no state that this version of advtool can read (at '{where}')") from None


def asked_of(header: Header) -> dict[str, Any]:
    """What was asked for, by the names of the options in Python."""
    architecture = header.architecture
    places = {"dataset": header.dataset, "arch": architecture.name, "arch_args": architecture.sizes}
    return places | {"seed": header.seed, "eps": header.threat_model.eps} | header.recipe


def differences(there: Header, here: Header) -> Iterator[str]:
    """Each difference between the settings of two trainings, in words."""
    old, new = _settings(there), _settings(here)
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield f"{name} is {old.get(name)} there and {new.get(name)} here"


def fingerprint(*splits: Split) -> str:
    """SHA-256 of the images and labels of these splits, in hexadecimal digits."""
    digest = hashlib.sha256()
    for split in splits:
        for tensor in (split.images, split.labels):
            digest.update(tensor.cpu().contiguous().numpy().reshape(-1).data)
    return digest.hexdigest()


def _settings(header: Header) -> dict[str, Any]:
    """By the names of options. A checkpoint that fixed examples come from is known by its hash, wherever it lies."""
    moot = {"name", "fixed_examples"}
    options = {option_name(name): value for name, value in asked_of(header).items() if name not in moot}
    return {"RECIPE": header.recipe.get("name"), **options}


def _of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    own = f"{part}/"
    return {name.removeprefix(own): tensor for name, tensor in tensors.items() if name.startswith(own)}
