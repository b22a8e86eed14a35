"""Data sets as tensors: every source gives uint8 images (N, C, H, W) and int64 labels (N,).

Other modules import from here, not from the files of this package.
"""

from advtool.data.catalogue import KNOWN, Entry, available, cache_dir, default_eps
from advtool.data.class_file import read_classes
from advtool.data.given import as_images, as_indices, as_labels, layout_hint, shape_of
from advtool.data.loading import check_exists, check_fetched, fetch, load, load_first
from advtool.data.pairs import as_pairs
from advtool.data.resizing import read_size
from advtool.data.split import Split, SplitName, check_split, first_images, to_float, train_validation

__all__ = [
    "KNOWN",
    "Entry",
    "Split",
    "SplitName",
    "as_images",
    "as_indices",
    "as_labels",
    "as_pairs",
    "available",
    "cache_dir",
    "check_exists",
    "check_fetched",
    "check_split",
    "default_eps",
    "fetch",
    "first_images",
    "layout_hint",
    "load",
    "load_first",
    "read_classes",
    "read_size",
    "shape_of",
    "to_float",
    "train_validation",
]
