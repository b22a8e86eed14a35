"""A contradiction: an image is proved robust, and yet an attack broke it. It is an error of advtool."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from advtool import tensor_files


class ContradictionError(Exception):
    """The bounds or the verifier are wrong. The message names the image, and where to find what witnesses both."""


def keep(folder: Path, place: int, witnesses: Mapping[str, Tensor]) -> Path:
    """Write what witnesses a contradiction. Returns the file.

    Args:
        folder: of the run.
        place: of the image in the run.
        witnesses: ``image`` and ``example``, float32 (C, H, W), ``label``, an int64 scalar, and ``lower``, the proved
            lower bound of the margin, a float64 scalar. There is no ``example`` if it could not be found again.

    Raises:
        InputError: the file cannot be written.
    """
    path = folder / f"contradiction-{place}.safetensors"
    tensor_files.write(path, witnesses)
    return path
