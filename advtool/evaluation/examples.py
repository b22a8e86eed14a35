"""Verified adversarial examples on disk: one safetensors file for each attack and shard of a run."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from advtool import tensor_files
from advtool.errors import InputError

EXAMPLES = "adversarial"
"""The folder in a run that holds all of its examples, if somebody asked for them."""
SHOWN = "shown"
"""The folder that holds the first of them, for the report."""


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
    tensor_files.write(path, examples._asdict())


def read(path: Path) -> Examples:
    """Read the examples that :func:`write` put at ``path``.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    try:
        found = Examples(**tensor_files.read(path)[1])
        _check(found)
    except (ValueError, OSError, TypeError) as error:
        raise InputError(f"'{path}' holds no adversarial examples of a run: {error}") from None
    return found


def _check(examples: Examples) -> None:
    places, labels, originals, images = examples
    if not (places.ndim == labels.ndim == 1 and places.dtype == labels.dtype == torch.int64):
        raise ValueError("its places or labels are no lists of integers")
    if (places < 0).any() or (labels < 0).any():
        raise ValueError("its places or labels are negative")
    if not (originals.shape == images.shape and originals.dtype == images.dtype == torch.float32 and images.ndim == 4):
        raise ValueError("its images are no float32 (K, C, H, W)")
    if not (len(places) == len(labels) == len(images) and images.isfinite().all() and originals.isfinite().all()):
        raise ValueError("its images are not finite, or not as many as its places")
