"""From a name or a path to a split: which source reads it."""

import os
from dataclasses import replace
from pathlib import Path

from advtool.data import digits, folder, npz, torchvision_sets
from advtool.data.catalogue import KNOWN, Known, cache_dir, find, locate
from advtool.data.split import Split, SplitName
from advtool.errors import InputError, near_match


def load(name_or_path: str | Path, split: SplitName, data_dir: Path | None = None) -> Split:
    """One split of a data set; the other one is not read.

    Args:
        name_or_path: ``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``, a path to an ``.npz`` file, or
            one to a folder with ``train/CLASS/*.png`` and ``test/CLASS/*.png``. A name wins over a folder
            of the same name; ``./mnist`` means the folder.
        split: which part.
        data_dir: the cache; default: see :func:`cache_dir`. What is missing there is downloaded into it,
            with progress on stderr.

    Raises:
        InputError: no such data set, a malformed or damaged file, or a download that failed.
    """
    text = os.fspath(name_or_path)
    if text in KNOWN:
        return _load_known(KNOWN[text], split, cache_dir(data_dir))
    loaded = _load_path(text, split)
    if len(loaded.classes) < 2:
        raise InputError(f"'{text}' has one class only: a classifier needs two or more")
    return loaded


def fetch(name: str, data_dir: Path | None = None) -> Path:
    """Make sure that the cache holds a data set, and say where; nothing is downloaded twice.

    Raises:
        InputError: no data set has that name, or the download failed.
    """
    known, cache = find(name), cache_dir(data_dir)
    if locate(known, cache) is None:
        _load_known(known, "test", cache)
    place = locate(known, cache)
    if place is None:
        raise InputError(f"'{name}' was fetched, but is not in '{cache}': is another program writing there?")
    return place


def _load_known(known: Known, split: SplitName, cache: Path) -> Split:
    if known.torchvision is None:
        return digits.load(split, known.name, known.classes)
    if (file := cache / known.npz).is_file():
        return _as_known(known, npz.load(file, split), file)
    return torchvision_sets.load(known, known.torchvision, split, cache)


def _as_known(known: Known, loaded: Split, file: Path) -> Split:
    if loaded.shape != known.shape or len(loaded.classes) > len(known.classes):
        raise InputError(
            f"'{file}' holds images of shape {loaded.shape} in {len(loaded.classes)} classes, "
            f"but '{known.name}' has {known.shape} in {len(known.classes)}: "
            "give it another name, and load it by its path"
        )
    return replace(loaded, name=known.name, classes=known.classes)


def _load_path(text: str, split: SplitName) -> Split:
    path = Path(text)
    if path.is_dir():
        return folder.load(path, split)
    if path.suffix.lower() == ".npz":
        return npz.load(path, split)
    if path.exists():
        raise InputError(f"'{text}' is no data set: give an .npz file, or a folder with train/ and test/")
    if len(path.parts) > 1:
        raise InputError(f"no data set at '{text}': there is no such file or folder")
    raise InputError(f"no data set named '{text}', nor a file or folder{near_match(text, KNOWN)}")
