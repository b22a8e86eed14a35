"""Checkpoints that cannot run code: tensors in a safetensors file, all the rest in its JSON header.

This module reads and writes headers and tensors. :mod:`advtool.models` makes models of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from advtool import documents, tensor_files
from advtool.errors import InputError
from advtool.files import sha256
from advtool.threat import ThreatModel

HEADER_KEY = "advtool"
SUFFIX = ".safetensors"
FOLDER = Path("checkpoints")
"""Where a training writes, and a command looks, unless it is told otherwise."""
MOST_CLASSES = 2**20
LARGEST_SIZE = 2**14
Size = Annotated[int, Field(ge=1, le=LARGEST_SIZE)]
"""Pixels of an image's side, or its channels. A file cannot ask for more."""


class Architecture(BaseModel):
    """A model of ``advtool.models.ARCHITECTURES`` by name, and the arguments that it was built with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    input_shape: tuple[Size, Size, Size]
    classes: int = Field(ge=2, le=MOST_CLASSES)
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, Any]:
        """The options that ``--arch-args`` gave: all but where its noise layers are."""
        return {name: value for name, value in self.options.items() if name != "pnil"}


class Header(BaseModel):
    """The header of a checkpoint: how the model was trained, and what was measured during the training."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["advtool.checkpoint/1"] = Field(default="advtool.checkpoint/1", alias="schema")
    architecture: Architecture
    dataset: str
    recipe: dict[str, Any]
    threat_model: ThreatModel
    seed: int
    date: AwareDatetime
    versions: dict[str, str]
    metrics: dict[str, Any]

    @field_validator("recipe")
    @classmethod
    def _with_a_name(cls, recipe: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(recipe.get("name"), str):
            raise ValueError("the recipe has no name")
        return recipe


def now() -> datetime:
    """The time now in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def write(path: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint atomically; an existing file is replaced."""
    tensor_files.write(path, tensors, {HEADER_KEY: header.model_dump_json(by_alias=True)})


def read_header(path: Path) -> Header:
    """Read the header only, and no tensors.

    Raises:
        InputError: there is no such file; it is a pickle, truncated, or no safetensors file; or its header is
            malformed or not ours.
    """
    _check_there(path)
    with _explained(path):
        texts = tensor_files.read_texts(path)
    return _parse(path, texts.get(HEADER_KEY))


def read(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """Read the header and the tensors, onto the CPU. The errors are those of :func:`read_header`."""
    texts, tensors = read_file(path)
    return _parse(path, texts.get(HEADER_KEY)), tensors


def read_file(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What any safetensors file says in its header, and its tensors, onto the CPU.

    Raises:
        InputError: there is no such file; or it is a pickle, truncated, damaged, or no safetensors file.
    """
    _check_there(path)
    with _explained(path):
        return tensor_files.read(path)


def newest(folder: Path) -> Path:
    """The checkpoint in ``folder`` with the latest date in its header.

    Other files are ignored, and so are partial checkpoints, because their training may still be running.

    Raises:
        InputError: there is no checkpoint.
    """
    dated = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.name.endswith(f".partial{SUFFIX}"):
            continue
        try:
            dated.append((read_header(path).date, path.stat().st_mtime_ns, path))
        except InputError:
            continue
    if not dated:
        raise InputError(
            f"no checkpoint found in '{folder}/': name a model, e.g. 'advtool eval FILE.py:factory', or train one, "
            "e.g. 'advtool train both'"
        )
    return max(dated)[2]


def describe(path: Path, header: Header) -> dict[str, Any]:
    """What a result says about its checkpoint: path, hash, and the main facts of the header."""
    return {
        "path": str(path),
        "sha256": sha256(path),
        "architecture": header.architecture.name,
        "dataset": header.dataset,
        "recipe": header.recipe["name"],
        "eps": header.threat_model.eps,
        "seed": header.seed,
        "date": header.date.isoformat(),
    }


def _check_there(path: Path) -> None:
    if not path.is_file():
        there = "that is a folder" if path.is_dir() else "that is no regular file"
        raise InputError(f"no checkpoint at '{path}': {there if path.exists() else 'no such file'}")
    _refuse_pickles(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(
            f"'{path}' is damaged, truncated or not a safetensors file ({error}); "
            "advtool reads the checkpoints that 'advtool train' writes"
        ) from None


def _refuse_pickles(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InputError(f"cannot read '{path}' ({error.strerror}): make it readable") from None
    if start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise InputError(
            f"'{path}' is a pickle or a zip archive, as torch.save writes them; a pickle can run any code: refused; "
            "advtool reads the safetensors checkpoints that 'advtool train' writes"
        )


def _parse(path: Path, text: str | None) -> Header:
    if text is None:
        raise InputError(
            f"'{path}' is a safetensors file without an advtool header; "
            "advtool reads the checkpoints that 'advtool train' writes"
        )
    try:
        return Header.model_validate(documents.parse(text))
    except ValueError as error:
        where = documents.malformed_at(error)
        raise InputError(f"'{path}' has a malformed advtool header (at '{where}'): write it again") from None
