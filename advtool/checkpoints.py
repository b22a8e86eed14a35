"""Checkpoints that cannot run code: tensors in a safetensors file, all the rest in its JSON header.

This module reads and writes headers and tensors. :mod:`advtool.models` makes models of them.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from advtool.errors import InputError
from advtool.files import sha256, write_atomically
from advtool.threat import ThreatModel

HEADER_KEY = "advtool"
SUFFIX = ".safetensors"


class Architecture(BaseModel):
    """A model of ``advtool.models.ARCHITECTURES`` by name, and the arguments that it was built with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    input_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: int = Field(ge=2)
    options: dict[str, Any] = Field(default_factory=dict)


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


def now() -> datetime:
    """The time now in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def write(path: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint atomically; an existing file is replaced."""
    metadata = {HEADER_KEY: header.model_dump_json(by_alias=True)}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, metadata=metadata))


def read_header(path: Path) -> Header:
    """Read the header only, and no tensors.

    Raises:
        InputError: there is no such file; it is a pickle, truncated, or no safetensors file; or its header is
            malformed or not ours.
    """
    return _open(path, tensors=False)[0]


def read(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """Read the header and the tensors, onto the CPU. The errors are those of :func:`read_header`."""
    return _open(path, tensors=True)


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


def read_file(path: Path, *, tensors: bool = True) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What any safetensors file says in its header, and its tensors, onto the CPU; without ``tensors``, none.

    Raises:
        InputError: there is no such file; or it is a pickle, truncated, or no safetensors file.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at '{path}': " + ("that is a folder" if path.is_dir() else "no such file"))
    _refuse_pickles(path)
    try:
        with safe_open(path, framework="pt") as file:
            content = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
            return file.metadata() or {}, content
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"'{path}' is damaged, truncated or not a safetensors file ({_first_line(error)}); "
            "advtool reads the checkpoints that 'advtool train' writes"
        ) from None


def _open(path: Path, *, tensors: bool) -> tuple[Header, dict[str, Tensor]]:
    metadata, content = read_file(path, tensors=tensors)
    return _parse(path, metadata.get(HEADER_KEY)), content


def _refuse_pickles(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(2)
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
        return Header.model_validate(json.loads(text))
    except (ValidationError, json.JSONDecodeError) as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else "JSON"
        raise InputError(f"'{path}' has a malformed advtool header (at '{where}'): write it again") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
