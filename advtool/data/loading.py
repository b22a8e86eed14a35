"""Loads a split by the name or path of its data set."""

import os
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from advtool import arguments
from advtool.data import digits, folder, npz, torchvision_sets
from advtool.data.catalogue import KNOWN, Known, cache_dir, find, is_file, locate
from advtool.data.resizing import Size, check_size, fit_all
from advtool.data.split import Split, SplitName, first_of
from advtool.errors import InputError, near_match
from advtool.ranks import Ranks


def load(
    name_or_path: str | Path,
    split: SplitName,
    data_dir: Path | None = None,
    *,
    input_size: int | Size | str | None = None,
) -> Split:
    """One split of a data set. The images of the other split are not read.

    Args:
        name_or_path: a name of ``KNOWN`` such as ``digits``, the path of an ``.npz`` file, or the path of a folder
            with ``train/CLASS/*`` and ``test/CLASS/*``, or with ``CLASS/*`` alone as test split. A name wins over
            a folder of the same name; ``./mnist`` means the folder.
        split: ``train`` or ``test``.
        data_dir: the cache; None: see :func:`cache_dir`. A missing data set is downloaded into it, with progress on
            stderr.
        input_size: to what every image is resized and cut: pixels of a square, (height, width), or text as on the
            command line, such as ``224x320``; None: as it is.

    Raises:
        InputError: there is no such data set, a file is malformed or damaged, images differ in size and ``input_size``
            is None, or a download failed.
    """
    return _read(_find(name_or_path, split, data_dir), None, input_size)


def load_first(
    name_or_path: str | Path,
    split: SplitName,
    count: int | None,
    data_dir: Path | None = None,
    *,
    input_size: int | Size | str | None = None,
) -> tuple[Split, Tensor]:
    """The images of :func:`first_images`, and their places in the split, int64 (``count``,).

    Of a folder only these files are read. Other data sets are one file, which is read as a whole.

    Args:
        name_or_path: as for :func:`load`.
        split: as for :func:`load`.
        count: how many; None, or more than there are: all.
        data_dir: as for :func:`load`.
        input_size: to what every image is resized and cut: pixels of a square, (height, width), or text as on the
            command line, such as ``224x320``; None: as it is.

    Raises:
        InputError: the errors of :func:`load`, or ``count`` is below 1.
    """
    source = _find(name_or_path, split, data_dir)
    chosen = first_of(len(source), count)
    return _read(source, chosen, input_size), chosen


def fetch(name: str, data_dir: Path | None = None) -> Path:
    """Download a data set if the cache does not hold it, and give its place.

    Raises:
        InputError: there is no data set of that name, or the download failed.
    """
    known, cache = find(name), cache_dir(data_dir)
    if locate(known, cache) is None:
        _load_known(known, "test", cache)
    place = locate(known, cache)
    if place is None:
        raise InputError(f"'{name}' was fetched, but is not in '{cache}': is another program writing there?")
    return place


def _find(name_or_path: str | Path, split: SplitName, data_dir: Path | None) -> Split | folder.Listing:
    text = os.fspath(name_or_path)
    if text in KNOWN:
        return _load_known(KNOWN[text], split, cache_dir(data_dir))
    found = _find_path(text, split)
    if len(found.classes) < 2:
        raise InputError(f"'{text}' has one class only, '{found.classes[0]}': a classifier needs two or more")
    return found


def _read(source: Split | folder.Listing, chosen: Tensor | None, input_size: int | Size | str | None) -> Split:
    size = None if input_size is None else check_size(input_size)
    if isinstance(source, folder.Listing):
        return source.read(range(len(source)) if chosen is None else chosen.tolist(), size)
    part = source if chosen is None else source[chosen]
    return part if size is None else replace(part, images=fit_all(part.images, size))


def _load_known(known: Known, split: SplitName, cache: Path) -> Split:
    if known.torchvision is None:
        return digits.load(split, known.name, known.classes)
    if is_file(file := cache / known.npz):
        return _as_known(known, npz.load(file, split), file)
    return torchvision_sets.load(known, known.torchvision, split, cache)


def _as_known(known: Known, loaded: Split, file: Path) -> Split:
    if loaded.shape != known.shape or len(loaded.classes) > len(known.classes):
        raise InputError(
            f"'{file}' holds images of shape {loaded.shape} in {len(loaded.classes)} classes, "
            f"but '{known.name}' has {known.shape} in {len(known.classes)}: "
            "give it another name, and load it by its path"
        )
    if loaded.classes == tuple(map(str, range(len(loaded.classes)))):  # the file names none: its labels are numbers
        return replace(loaded, name=known.name, classes=known.classes)
    if sorted(loaded.classes) != sorted(known.classes):
        raise InputError(
            f"'{file}' names other classes than '{known.name}' has ({', '.join(known.classes)}): "
            "give it another name, and load it by its path"
        )
    return replace(loaded, name=known.name)


def _find_path(text: str, split: SplitName) -> Split | folder.Listing:
    check_exists(text)
    path = Path(text)
    return folder.find(path, split) if path.is_dir() else npz.load(path, split)


def check_exists(name_or_path: str | Path) -> None:
    """Refuse what is neither the name of a data set nor a folder nor an ``.npz`` file. Nothing is read.

    Raises:
        InputError: there is no such data set; the message says which one might be meant.
    """
    text = arguments.encodable("data set", os.fspath(name_or_path))
    if not text:
        raise InputError(
            f"the data set has no name: give one of {', '.join(sorted(KNOWN))}, an .npz file or a folder of images"
        )
    path = Path(text)
    is_npz = path.suffix.lower() == ".npz"
    if text in KNOWN or path.is_dir() or (is_npz and path.exists()):
        return
    if path.exists():
        raise InputError(f"'{text}' is no data set: give an .npz file, or a folder of images")
    if is_npz or len(path.parts) > 1:
        raise InputError(f"no data set at '{text}': there is no such file or folder")
    raise InputError(f"no data set named '{text}', nor a file or folder{near_match(text, KNOWN)}")


def check_fetched(data: Split | str | Path, data_dir: Path | None, ranks: Ranks) -> None:
    """Refuse to download a data set by several processes into one folder at once.

    Raises:
        InputError: the data set is not in the cache.
    """
    known = None if isinstance(data, Split) else KNOWN.get(str(data))
    if ranks.are_several and known is not None and locate(known, cache_dir(data_dir)) is None:
        raise InputError(f"--dataset {data} is not here yet: run 'advtool data fetch {data}' before torchrun")
