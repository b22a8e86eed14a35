"""Data sets in a NumPy archive: ``x_train``, ``y_train``, ``x_test``, ``y_test``, as Keras keeps them.

One of the splits may be missing. An array ``class_names`` may name the classes.
"""

import lzma
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from advtool import arguments
from advtool.data import archive_file
from advtool.data.given import PIXEL_ROUNDING
from advtool.data.split import Split, SplitName
from advtool.errors import InputError, reason

_NAMES = "class_names"
_DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_MOST_CLASSES = 65_536  # a larger label is an error in the file


def load(path: Path, split: SplitName) -> Split:
    """One split of an archive. The images of the other split are not read.

    The x arrays are uint8, other integers in 0..255, or floats in [0, 1], of shape (N, H, W), (N, H, W, C) or
    (N, C, H, W); the y arrays are integers from 0, of shape (N,) or (N, 1). The other split may be missing or empty. An
    array of strings ``class_names`` names the classes; without it, the labels of both y arrays do.

    Raises:
        InputError: there is no such file, it is no archive, or its arrays are not as above.
    """
    arrays = _read(path, split)
    wanted = [key for key in arrays if key == f"y_{split}" or (key.startswith("y_") and arrays[key].size)]
    labels = {key: _labels(arrays[key], f"{key} of '{path}'") for key in wanted}
    images = _images(arrays[f"x_{split}"], f"x_{split} of '{path}'")
    if len(images) != len(labels[f"y_{split}"]):
        raise InputError(
            f"'{path}' has {len(images)} images in x_{split}, but {len(labels[f'y_{split}'])} labels in y_{split}: "
            "they must be as many"
        )
    return Split(
        name=path.stem,
        classes=_named(arrays[_NAMES], labels, path) if _NAMES in arrays else _numbered(labels, path),
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels[f"y_{split}"]),
    )


def _read(path: Path, split: SplitName) -> dict[str, NDArray[Any]]:
    needed = (f"x_{split}", f"y_{split}")
    if not path.is_file():
        raise InputError(f"no data set at '{path}': there is no such file")
    try:
        with path.open("rb") as file:
            is_archive = zipfile.is_zipfile(file)
    except OSError as error:
        raise InputError(f"cannot read '{path}' ({error.strerror}): make it readable") from None
    if not is_archive:
        raise InputError(f"'{path}' is not an .npz archive, or it is truncated: write one with numpy.savez")
    try:
        present, arrays = archive_file.read(path, {*needed, "y_train", "y_test", _NAMES})
    except _DAMAGE as error:
        raise InputError(_damage(path, error)) from None
    if missing := [key for key in needed if key not in present]:
        raise InputError(
            f"'{path}' lacks {', '.join(missing)} (it has {', '.join(present) or 'no arrays'}): "
            "a data set needs x_train and y_train to train, x_test and y_test to evaluate"
        )
    return arrays


def _numbered(labels: dict[str, NDArray[np.int64]], path: Path) -> tuple[str, ...]:
    """The classes 0, 1, ... up to the largest label.

    Labels that are exactly 1..K count from 1, and are refused. Test labels alone show this only if they are so many
    that no class is missing by chance.
    """
    every = np.concatenate(list(labels.values()))
    most = int(every.max())
    if ("y_train" in labels or len(every) >= 10 * (most + 1)) and np.array_equal(
        np.unique(every), np.arange(1, most + 1)
    ):
        raise InputError(
            f"the labels of '{path}' are 1..{most}, and none is 0: subtract 1 from them, since classes count from 0 "
            f"(or name all classes in an array {_NAMES}, if class 0 has no images)"
        )
    return tuple(map(str, range(most + 1)))


def _named(names: NDArray[Any], labels: dict[str, NDArray[np.int64]], path: Path) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise InputError(
            f"{_NAMES} of '{path}' has the type {names.dtype} and the shape {names.shape}: "
            "it must be strings (K,), one name a class"
        )
    try:
        classes = tuple(np.char.decode(names, "utf-8").tolist() if names.dtype.kind == "S" else names.tolist())
    except ValueError:
        raise InputError(f"{_NAMES} of '{path}' is no UTF-8 text: save it as an array of str") from None
    for name in classes:
        arguments.encodable(f"{_NAMES} of '{path}':", name)
    if not classes:
        raise InputError(f"{_NAMES} of '{path}' is empty: name every class, or leave the array out")
    if len(classes) > _MOST_CLASSES:
        raise InputError(f"'{path}' has {len(classes)} {_NAMES}: more than {_MOST_CLASSES} are not supported")
    if len(set(classes)) < len(classes):
        double = Counter(classes).most_common(1)[0][0]
        raise InputError(f"{_NAMES} of '{path}' names '{double}' twice: every class needs a name of its own")
    if (most := max(int(part.max()) for part in labels.values())) >= len(classes):
        raise InputError(
            f"'{path}' has labels up to {most}, but {len(classes)} {_NAMES}: labels count from 0, so they must lie in "
            f"0..{len(classes) - 1}"
        )
    return classes


def _damage(path: Path, error: Exception) -> str:
    if "pickle" in str(error):
        return f"'{path}' holds Python objects, and reading them can run any code: refused; save plain arrays"
    return f"'{path}' is damaged ({reason(error)}): write it again with numpy.savez"


def _images(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    return _as_bytes(_channels_first(array, what), what)


def _channels_first(array: NDArray[Any], what: str) -> NDArray[Any]:
    _refuse_empty(array, what)
    if array.ndim == 3:
        return array[:, np.newaxis]
    if array.ndim == 4 and array.shape[3] in (1, 3):
        return array.transpose(0, 3, 1, 2)
    if array.ndim == 4 and array.shape[1] in (1, 3):
        return array
    raise InputError(
        f"{what} has the shape {array.shape}: images must be (N, H, W), (N, H, W, C) or (N, C, H, W), with C = 1 or 3"
    )


def _refuse_empty(array: NDArray[Any], what: str) -> None:
    if not array.size:
        raise InputError(f"{what} is empty (shape {array.shape}): a split needs images, and a label for each")


def _as_bytes(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what} has the type {array.dtype}: images must be uint8, or floats in [0, 1]")
    integers = array.dtype.kind in "iu"
    most, rounding = (255, 0.0) if integers else (1, max(PIXEL_ROUNDING, float(np.finfo(array.dtype).eps)))
    low, high = float(array.min()), float(array.max())
    if not (low >= -rounding and high <= most + rounding):  # so written, it holds for NaN as well
        raise InputError(f"{what} has values from {low:g} to {high:g}: images must be uint8, or floats in [0, 1]")
    scaled = array if integers else np.rint(np.clip(array, 0, 1) * 255)
    return np.ascontiguousarray(scaled.astype(np.uint8))


def _labels(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    _refuse_empty(array, what)
    if array.ndim not in {1, 2} or array.shape != (len(array), 1)[: array.ndim]:
        raise InputError(f"{what} has the shape {array.shape}: labels must be (N,), one class number an image")
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} has the type {array.dtype}: labels must be integers from 0")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= _MOST_CLASSES:
        raise InputError(f"{what} has labels from {low} to {high}: they must lie in 0..{_MOST_CLASSES - 1}")
    return array.reshape(-1).astype(np.int64)
