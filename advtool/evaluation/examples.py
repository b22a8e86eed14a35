"""Verified adversarial examples on disk: one safetensors file for each attack and shard of a run."""

from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from advtool.errors import InputError
from advtool.files import write_atomically


class Examples(NamedTuple):
    """K adversarial examples of a shard, with the images that they were made from."""

    places: Tensor
    """int64 (K,): the place of each image in the run"""
    labels: Tensor
    """int64 (K,): the true classes"""
    originals: Tensor
    """float32 (K, C, H, W) in the clip range"""
    images: Tensor
    """float32 (K, C, H, W): the examples, bit for bit as they were verified"""

    def part(self, rows: Tensor) -> "Examples":
        """The examples in these ``rows``, int64 (n,)."""
        return Examples(*(tensor[rows] for tensor in self))


def write(path: Path, examples: Examples) -> None:
    """Write the examples to ``path``: the whole file, or nothing.

    Raises:
        InputError: the file cannot be written.
    """
    tensors = {name: tensor.cpu().contiguous() for name, tensor in examples._asdict().items()}
    write_atomically(path, save(tensors))


def read(path: Path) -> Examples:
    """Read the examples that :func:`write` put at ``path``.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    try:
        return Examples(**load(path.read_bytes()))
    except (SafetensorError, OSError, TypeError) as error:
        raise InputError(f"'{path}' holds no adversarial examples of a run: {error}") from None
