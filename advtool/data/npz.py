"""Data sets in a NumPy archive: ``x_train``, ``y_train``, ``x_test``, ``y_test``, as Keras keeps them."""

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from advtool.data.split import Split, SplitName
from advtool.errors import InputError

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_MOST_CLASSES = 65_536  # a label beyond it is an error of the file, not a class


def load(path: Path, split: SplitName) -> Split:
    """One split of an archive; the images of the other one are not read.

    The x arrays are uint8, or floats in [0, 1], of shape (N, H, W), (N, H, W, C) or (N, C, H, W); the y
    arrays are integers from 0, of shape (N,) or (N, 1). The classes are those of both y arrays.

    Raises:
        InputError: no such file, no archive, or arrays of another kind than these.
    """
    arrays = _read(path, ("y_train", "y_test", f"x_{split}"))
    labels = {part: _labels(arrays[f"y_{part}"], f"y_{part} of '{path}'") for part in ("train", "test")}
    images = _images(arrays[f"x_{split}"], f"x_{split} of '{path}'")
    if len(images) != len(labels[split]):
        raise InputError(
            f"'{path}' has {len(images)} images in x_{split}, but {len(labels[split])} labels in y_{split}: "
            "they must be as many"
        )
    classes = 1 + max(int(part.max()) for part in labels.values())
    return Split(
        name=path.stem,
        classes=tuple(map(str, range(classes))),
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels[split]),
    )


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise InputError(f"no data set at '{path}': there is no such file")
    if not zipfile.is_zipfile(path):
        raise InputError(f"'{path}' is not an .npz archive, or it is truncated: write one with numpy.savez")
    try:
        # A pickle could run any code, so allow_pickle stays off.
        with np.load(path, allow_pickle=False) as archive:
            present = list(archive.files)
            arrays = {key: archive[key] for key in keys if key in present}
    except _DAMAGE as error:
        raise InputError(_damage(path, error)) from None
    if missing := [key for key in _KEYS if key not in present]:
        raise InputError(
            f"'{path}' lacks {', '.join(missing)} (it has {', '.join(present) or 'no arrays'}): "
            f"a data set needs {', '.join(_KEYS)}"
        )
    return arrays


def _damage(path: Path, error: Exception) -> str:
    if "pickle" in str(error):
        return f"'{path}' holds Python objects, and reading them can run any code: refused; save plain arrays"
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return f"'{path}' is damaged ({reason}): write it again with numpy.savez"


def _images(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    return _as_bytes(_channels_first(array, what), what)


def _channels_first(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.size and array.ndim == 3:
        return array[:, np.newaxis]
    if array.size and array.ndim == 4 and array.shape[3] in (1, 3):
        return array.transpose(0, 3, 1, 2)
    if array.size and array.ndim == 4 and array.shape[1] in (1, 3):
        return array
    raise InputError(
        f"{what} has the shape {array.shape}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W), "
        "with N at least 1 and C = 1 or 3"
    )


def _as_bytes(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f":
        raise InputError(f"{what} has the type {array.dtype}: images must be uint8, or floats in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # so written, it holds for NaN as well
        raise InputError(f"{what} has values from {low:g} to {high:g}: images must be uint8, or floats in [0, 1]")
    return np.ascontiguousarray(np.rint(array * 255).astype(np.uint8))


def _labels(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    if not array.size or array.shape not in {(len(array),), (len(array), 1)}:
        raise InputError(f"{what} has the shape {array.shape}: labels must be (N,), one class number an image")
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} has the type {array.dtype}: labels must be integers from 0")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= _MOST_CLASSES:
        raise InputError(f"{what} has labels from {low} to {high}: they must lie in 0..{_MOST_CLASSES - 1}")
    return array.reshape(-1).astype(np.int64)
