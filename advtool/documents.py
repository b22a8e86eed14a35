"""Reads and writes JSON that a stranger may have changed: checks that it is whole, and bounds size, depth and numbers.

The folder ``.sealed`` beside the documents of a run holds an empty file for each document that was written there,
named by the SHA-256 of its content. So damage is seen, and several processes may write at once. It is no signature:
whoever changes a document on purpose can add a seal. Older versions wrote no seals.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from advtool.errors import InputError
from advtool.files import read_bytes, sha256, write_atomically

SEALS = ".sealed"
MOST_BYTES = 64 * 2**20
"""The largest document; that of a shard of 4000 images has less than a mebibyte."""
MOST_DEPTH = 100
LARGEST_INTEGER = 2**63 - 1
"""Larger ones fit into no tensor."""


def write(folder: Path, name: str, content: str) -> None:
    """Write a document of a run and its seal, each of them the whole file or none.

    Raises:
        InputError: the file cannot be written.
    """
    written = content.encode()
    seal, has_seals = _seal(folder, written), (folder / SEALS).is_dir()
    if _holds(folder / name, len(written), seal.name) and (seal.exists() or not has_seals):
        return  # a finished run is shown from a folder where nobody may write
    if not seal.exists() and (has_seals or not any(folder.glob("*.json"))):  # a run without seals stays without
        write_atomically(seal, b"")
    write_atomically(folder / name, written)


def read(folder: Path, name: str) -> Any:
    """Read a document of a run.

    Raises:
        OSError: there is no such file, it is none that can be read, or it is too large.
        ValueError: it is no JSON, out of bounds, or damaged.
    """
    return parse(read_text(folder, name, MOST_BYTES))


def read_text(folder: Path, name: str, most: int) -> str:
    """The text of a document of a run, of at most ``most`` bytes, for one that is read line by line.

    Raises:
        OSError: there is no such file, it is none that can be read, or it is too large.
        ValueError: it is damaged.
    """
    content = read_bytes(folder / name, most)
    if (folder / SEALS).is_dir() and not _seal(folder, content).exists():
        raise ValueError(f"{name} is not as it was written")
    return content.decode()


def _holds(path: Path, size: int, digest: str) -> bool:
    """Whether the file has that many bytes, which for a run's lines may be a gibibyte, and that SHA-256."""
    try:
        return path.is_file() and path.stat().st_size == size and sha256(path) == digest
    except OSError:
        return False


def parse(text: str | bytes, **options: Any) -> Any:
    """The value of JSON, as :func:`json.loads` gives it with these ``options``.

    Args:
        text: of the document.
        options: of :func:`json.loads`.

    Raises:
        ValueError: it is no JSON, it is nested too deeply, or it holds a number or a text that JSON cannot hold, such
            as NaN, which no other program reads.
    """
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep") from None
    level, depth = [value], 0
    while level:
        _check([each for each in level if not isinstance(each, dict | list | tuple)])
        below = [each for each in level if isinstance(each, dict | list | tuple) and each]
        _check([key for each in below if isinstance(each, dict) for key in each])
        level = [child for each in below for child in (each.values() if isinstance(each, dict) else each)]
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    return value


def malformed_at(error: Exception) -> str:
    """Where a document is not what it should be, as ``architecture.classes``; ``JSON`` if it is no JSON."""
    from pydantic import ValidationError  # noqa: PLC0415 - --help waits for no pydantic

    return ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else "JSON"


def json_object(option: str, text: str, example: str = '{"width": 16}') -> dict[str, Any]:
    """A JSON object: how a command line gives keyword arguments; ``example`` is for the message.

    Raises:
        InputError: the text is no JSON object.
    """
    try:
        found = parse(text)
    except ValueError as error:
        raise InputError(f"{option} is no JSON ({error}): write e.g. '{example}'") from None
    if not isinstance(found, dict):
        raise InputError(f"{option} is no JSON object: write e.g. '{example}'")
    return found


def _check(values: list[Any]) -> None:
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it holds NaN or infinity")
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise ValueError("it holds an integer beyond 64 bits")
        if isinstance(value, str) and not value.isascii():
            value.encode()  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError


def _seal(folder: Path, content: bytes) -> Path:
    return folder / SEALS / hashlib.sha256(content).hexdigest()
