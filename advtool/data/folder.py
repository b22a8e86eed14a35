"""Data sets in a folder of image files: ``train/CLASS/*`` and ``test/CLASS/*``, or ``CLASS/*`` alone.

Finding the files does not open them. Only the images that are asked for are read.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from advtool import arguments
from advtool.compute.memory import available_bytes
from advtool.data import image_file
from advtool.data.resizing import Size, channels_first, fit
from advtool.data.split import Split, SplitName, first_of
from advtool.errors import InputError

_FOLDERS: dict[SplitName, tuple[str, ...]] = {"train": ("train",), "test": ("test", "val", "valid")}
_LAYOUT = "a data set needs train/CLASS/ and test/CLASS/ (or val/CLASS/), or CLASS/ alone, with images in each"
_FILES_FOR_COLOUR = 64  # their headers say whether a split is grey, whatever images are asked for
_USUAL_INPUT_SIZE = 224  # pixels; of most models for photographs


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of one split. They have not been read yet.

    Attributes:
        name: the folder's name.
        classes: the names of the classes' folders, sorted.
        files: paths, class by class, sorted.
        labels: int64 (N,), the class of each file.
    """

    name: str
    classes: tuple[str, ...]
    files: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.files)

    def read(self, indices: Sequence[int], size: Size | None) -> Split:
        """The images at ``indices``, in their order.

        All are RGB if one of 64 fixed files of the split is in colour, else all are grey. So the pixels of an image do
        not depend on which other images are read.

        Args:
            indices: positions in ``files``, at least one.
            size: (height, width) to which each is resized and cut; None: they must all have one size.

        Raises:
            InputError: a file cannot be read, or differs in size from the first one.
        """
        looked_at = first_of(len(self), _FILES_FOR_COLOUR).tolist()
        colour = any(image_file.is_colour(self.files[index]) for index in looked_at)
        files = [self.files[index] for index in indices]
        return Split(
            name=self.name,
            classes=self.classes,
            images=torch.from_numpy(_stack(files, colour, size)),
            labels=torch.from_numpy(self.labels[np.asarray(indices)]),
        )


def find(path: Path, split: SplitName) -> Listing:
    """The files of one split.

    The test split is the first of ``test/``, ``val/`` and ``valid/`` that holds a folder for each class. Without these
    and without ``train/``, the folders in ``path`` are the classes of the test split. The classes are the folders in
    ``train/`` if it exists, else the folders of the test split, sorted. The images of a class lie in its folder, or in
    the only folder within it that holds images.

    Raises:
        InputError: a folder is missing or empty, or the test split has a class that ``train/`` has not.
    """
    folders = _split_folders(path)
    if split not in folders:
        raise InputError(_missing(path, split, bool(folders)))
    present = _classes(folders[split])
    classes = _classes(folders["train"]) if "train" in folders else present
    if strange := [name for name in present if name not in classes]:
        raise InputError(f"'{folders[split]}' has the class '{strange[0]}', which '{folders['train']}' lacks")
    number = {name: label for label, name in enumerate(classes)}
    found = [(number[name], _files(folders[split] / name)) for name in present]
    return Listing(
        name=path.resolve().name,
        classes=classes,
        files=[file for _, files in found for file in files],
        labels=np.repeat([label for label, _ in found], [len(files) for _, files in found]).astype(np.int64),
    )


def _split_folders(path: Path) -> dict[SplitName, Path]:
    """The folders of the splits. A folder called train that holds images itself is a class (the vehicle)."""
    folders, _ = _entries(path)
    named = {name.lower(): path / name for name in folders}  # with both 'Test' and 'test', the second one counts
    known = [name for names in _FOLDERS.values() for name in names if name in named]
    if not any(not _entries(named[name])[1] for name in known):
        return {"test": path} if folders else {}
    found: dict[SplitName, Path] = {}
    for split, names in _FOLDERS.items():
        there = [named[name] for name in names if name in named]
        usable = [folder for folder in there if _entries(folder)[0]]
        if there:
            found[split] = (usable or there)[0]
    return found


def _missing(path: Path, split: SplitName, has_other: bool) -> str:
    if split == "test" or not has_other:
        return f"'{path}' has no folder '{split}': {_LAYOUT}"
    return f"'{path}' has no folder 'train', so it is no training data, only the test split: {_LAYOUT}"


def _classes(folder: Path) -> tuple[str, ...]:
    names, files = _entries(folder)
    if not names:
        state = "holds images, but no folders" if files else "is empty"
        raise InputError(f"'{folder}' {state}: it needs a folder of images for each class")
    return tuple(arguments.encodable(f"the class of '{folder}'", name) for name in names)


def _files(folder: Path) -> list[str]:
    """The images of a class, in its folder or one level deeper, as in Tiny ImageNet's ``CLASS/images``."""
    folders, files = _entries(folder)
    nested = [inner for name in folders if (inner := _entries(folder / name)[1])]
    if len(nested) + bool(files) > 1:
        raise InputError(
            f"'{folder}' holds images in more than one folder: put those of one class into one folder; "
            "splits are called train/, test/ or val/"
        )
    if not files and not nested:
        known = f"{', '.join(image_file.SUFFIXES[:-1])} or {image_file.SUFFIXES[-1]}"
        raise InputError(f"'{folder}' holds no images: it needs {known} files")
    return files or nested[0]


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the folders and the paths of the image files, both sorted, without hidden ones."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(image_file.SUFFIXES):
                    files.append(entry.path)
    except OSError as error:
        raise InputError(f"cannot list the folder '{folder}' ({error.strerror}): make it readable") from None
    return sorted(folders), sorted(files)


def _stack(files: list[str], colour: bool, size: Size | None) -> NDArray[np.uint8]:
    """The images of files, uint8 (N, C, H, W)."""
    first = _pixels(files[0], colour, size)
    free = available_bytes()
    if free is not None and len(files) * first.nbytes > free:
        raise InputError(
            f"{len(files)} images such as '{files[0]}' take {len(files) * first.nbytes / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB of memory are free: ask for fewer images, or smaller ones with --input-size"
        )
    stacked = np.empty((len(files), *first.shape), dtype=np.uint8)
    stacked[0] = first
    for index, file in enumerate(files[1:], start=1):
        pixels = _pixels(file, colour, size)
        if pixels.shape != first.shape:
            raise InputError(_unlike((file, pixels), (files[0], first)))
        stacked[index] = pixels
    return stacked


def _pixels(file: str, colour: bool, size: Size | None) -> NDArray[np.uint8]:
    image = image_file.read(file, colour)
    try:
        return channels_first(image if size is None else fit(image, size))
    except InputError as error:
        raise InputError(f"'{file}': {error}") from None


def _unlike(one: tuple[str, NDArray[np.uint8]], other: tuple[str, NDArray[np.uint8]]) -> str:
    def describe(pixels: NDArray[np.uint8]) -> str:
        return "x".join(map(str, pixels.shape[1:]))

    proposal = min(_USUAL_INPUT_SIZE, *one[1].shape[1:], *other[1].shape[1:])
    return (
        f"'{one[0]}' is {describe(one[1])} (height x width), but '{other[0]}' is {describe(other[1])}: "
        f"give the size that the model takes, e.g. --input-size {proposal} (in Python input_size={proposal})"
    )
