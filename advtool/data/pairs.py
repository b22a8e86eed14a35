"""Images and labels from one object: a torch Dataset, a DataLoader, or another source of (image, label)."""

from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import closing
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from advtool.arguments import integer
from advtool.data.given import as_images, as_labels, read_dense
from advtool.errors import InputError, is_out_of_memory, reason
from advtool.seeding import global_streams

_END = object()


def as_pairs(images: Any, labels: Any = None, limit: int | None = None) -> tuple[Tensor, Tensor]:
    """Images and labels from arrays, or from one object that yields both.

    A Dataset, a DataLoader or an iterable is read up to ``limit`` images and no further. While it is read, the global
    generators of torch, NumPy and Python have a fixed seed, so that a loader that shuffles gives the same images every
    time. Afterwards they have their old states again.

    Args:
        images: with ``labels``, what :func:`as_images` takes. Without, a source of pairs (image, label): single images
            (C, H, W) with a class index, or batches (B, C, H, W) with labels (B,).
        labels: what :func:`as_labels` takes, or None.
        limit: the largest number of images; None: all.

    Returns:
        float32 (N, C, H, W) in [0, 1] and int64 (N,), on the CPU.

    Raises:
        InputError: the images or labels are wrong (the message names the item of a source), the source yields no pairs
            or raises an error, or ``limit`` is below 1.
    """
    if limit is not None and (integer(limit) or 0) < 1:
        raise InputError(f"the number of images must be an integer of at least 1, not {limit!r}")
    if labels is None:
        return _collected(images, limit)
    if isinstance(images, Dataset | DataLoader):
        raise InputError(f"images is a {type(images).__name__}, which brings its labels: leave labels out")
    x = as_images(images)
    return x[:limit], as_labels(labels, len(x))[:limit]


def _collected(source: Any, limit: int | None) -> tuple[Tensor, Tensor]:
    images: list[Tensor] = []
    labels: list[Tensor] = []
    missing = limit
    with global_streams(torch.device("cpu"), 0, "pairs"), closing(_numbered(source)) as items:
        while missing is None or missing > 0:  # asked before the next item is read
            number, item = next(items, (0, _END))
            if item is _END:
                break
            x, y = _read_item(number, item)
            if images and x.shape[1:] != images[0].shape[1:]:
                raise InputError(
                    f"item {number} holds images of shape {tuple(x.shape[1:])}, but item 0 "
                    f"{tuple(images[0].shape[1:])}: resize them to one size"
                )
            images.append(x[:missing].clone())  # the source may fill the same memory again
            labels.append(y[:missing].clone())
            missing = None if missing is None else missing - len(x)
    if not images:
        raise InputError(f"the {type(source).__name__} given as images is empty: it must yield pairs (image, label)")
    with torch.inference_mode(mode=False):
        return torch.cat(images), torch.cat(labels)


def _numbered(source: Any) -> Generator[tuple[int, Any], None, None]:
    """The items of a source with their numbers. An error of its code becomes one line."""
    if isinstance(source, Tensor | np.ndarray) or not (isinstance(source, Iterable) or hasattr(source, "__getitem__")):
        raise InputError(f"labels are missing: give them beside the images ({type(source).__name__})")
    number = 0
    try:
        for item in _items(source):
            yield number, item
            number += 1
    except Exception as error:  # the caller's own code may raise anything
        if is_out_of_memory(error):
            raise
        raise InputError(f"reading item {number} of the {type(source).__name__} failed: {reason(error)}") from error


def _items(source: Any) -> Iterator[Any]:
    """The items of a source; of a Dataset by index, because its own iteration need not end."""
    if isinstance(source, Dataset) and not isinstance(source, IterableDataset):
        return (source[index] for index in range(len(cast(Sized, source))))
    return iter(source)


def _read_item(number: int, item: Any) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) and labels (B,) of a pair; a single image is a batch of one."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        keys = f" with the keys {', '.join(map(repr, item))}" if isinstance(item, dict) else ""
        size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
        raise InputError(
            f"item {number} of the data must be a pair (image, label), not a {type(item).__name__}{size}{keys}"
        )
    try:
        images, labels = read_dense(item[0], "images"), item[1]
        if images.ndim == 3:
            images, labels = images.unsqueeze(0), [labels]
        x = as_images(images)
        return x, as_labels(labels, len(x))
    except InputError as error:
        raise InputError(f"item {number} of the data: {error}") from None
