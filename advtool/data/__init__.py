"""Data sets as tensors: every source gives uint8 images (N, C, H, W) and int64 labels (N,), once.

Other modules import from here, never from the files of this package.
"""

from advtool.data.catalogue import KNOWN, Entry, available, cache_dir, default_eps
from advtool.data.loading import fetch, load
from advtool.data.split import Split, SplitName, first_images, first_indices, to_float, train_validation

__all__ = [
    "KNOWN",
    "Entry",
    "Split",
    "SplitName",
    "available",
    "cache_dir",
    "default_eps",
    "fetch",
    "first_images",
    "first_indices",
    "load",
    "to_float",
    "train_validation",
]
