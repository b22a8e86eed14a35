"""Tensors and texts in a safetensors file, with checksums of both, so that damage is seen.

A checksum is no signature: whoever changes a file on purpose can write another one. A file without checksums is read
too: older versions wrote such files, and so do other programs.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from advtool.errors import reason
from advtool.files import write_atomically

OF_TEXTS, OF_TENSORS = "advtool_sha256", "advtool_tensors_sha256"


def write(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str] | None = None) -> None:
    """Write the whole file, or nothing.

    Raises:
        InputError: the file cannot be written.
    """
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    marked = {**(texts or {}), OF_TENSORS: _of_tensors(kept)}
    write_atomically(path, _in_order(save(kept, metadata=marked | {OF_TEXTS: _of_texts(marked)})))


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The texts and the tensors, on the CPU.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is no safetensors file, or it is damaged; one line says which.
    """
    return _read(path, tensors=True)


def read_texts(path: Path) -> dict[str, str]:
    """The texts alone. The errors are those of :func:`read`."""
    return _read(path, tensors=False)[0]


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What is in the file; again if it is replaced meanwhile, since safetensors opens it twice and mixes both files."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    while True:
        version = _version(path)
        try:
            return _read_once(path, tensors=tensors)
        except ValueError:
            if _version(path) == version:
                raise


def _version(path: Path) -> tuple[int, int]:
    """Tells a file from another one that has replaced it."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _read_once(path: Path, *, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            texts = dict(file.metadata() or {})
            content = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, RuntimeError, KeyError, AttributeError, TypeError) as error:  # of types that torch lacks
        raise ValueError(reason(error)) from None
    given = texts.pop(OF_TEXTS, None)
    if given is not None and given != _of_texts(texts):
        raise ValueError("the checksum of its header differs")
    marked = texts.pop(OF_TENSORS, None)
    if given is not None and tensors and marked != _of_tensors(content):
        raise ValueError("the checksum of its tensors differs")
    return texts, content


def _in_order(data: bytes) -> bytes:
    """The file with its texts sorted: safetensors writes them in an order that changes from call to call."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(data)[end:]))


def _of_texts(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


def _of_tensors(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
