"""Arrays in a NumPy archive. Their sizes are checked before any memory is taken."""

import math
import warnings
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from advtool.compute.memory import available_bytes
from advtool.errors import reason

SUFFIX = ".npy"
BOMB_BYTES, BOMB_RATIO = 2**30, 100
"""What unpacks to more bytes than this, and to so many times its own size, holds no images and no weights."""


def read(path: Path, names: Collection[str]) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """The names of all arrays in an archive, and those of ``names`` that are there.

    Nothing is unpickled, since a pickle could run any code.

    Raises:
        OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError: the archive is
            damaged, or holds Python objects.
        ValueError: an array is not as large as it says, or larger than the free memory.
    """
    with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of archives of Python 2
        members = {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}
        asked = {name: members[name] for name in names if name in members}
        check_sizes(path, list(asked.values()))
        return list(members), {name: _array(archive, info) for name, info in asked.items()}


def check_sizes(path: Path, members: Collection[zipfile.ZipInfo]) -> None:
    """Refuse members of a zip archive that would fill the memory.

    Raises:
        ValueError: they unpack to far more than the archive, or to more than the free memory.
    """
    unpacked, free = sum(info.file_size for info in members), available_bytes()
    if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * path.stat().st_size:
        raise ValueError(f"it unpacks to {unpacked / 2**30:.1f} GiB, more than {BOMB_RATIO} times its size")
    if free is not None and unpacked > free:
        raise ValueError(f"it unpacks to {unpacked / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free")


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        first = np.lib.format.read_magic(member) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    except Exception as error:  # NumPy parses the header as Python's literals
        raise ValueError(f"it has no header of an array: {reason(error)}") from None
    return shape, dtype


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        shape, dtype = _header(member)
        if dtype.hasobject:
            raise ValueError("it holds a pickle")
        if math.prod(shape) * dtype.itemsize != info.file_size - member.tell():
            raise ValueError(f"{info.filename} is not as large as its shape {shape} says")
    with archive.open(info) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array
