"""Data sets in a folder of image files: ``train/CLASS/*.png`` and ``test/CLASS/*.png``."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from advtool.data.split import Split, SplitName
from advtool.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "P", "CMYK")


def load(path: Path, split: SplitName) -> Split:
    """One split of a folder; the classes are the folders under ``train/``, in the order of their names.

    Images are read as 8-bit grey or RGB (transparency is dropped), all of one size.

    Raises:
        InputError: a folder is missing or empty, ``test/`` has a class that ``train/`` lacks, a file is no
            image, or the images differ in size or in being grey or RGB.
    """
    classes = _classes(path, "train")
    present = _classes(path, split)
    if strange := [name for name in present if name not in classes]:
        raise InputError(f"'{path / split}' has the class '{strange[0]}', which '{path / 'train'}' lacks")
    files = [(file, classes.index(name)) for name in present for file in _files(path / split / name)]
    return Split(
        name=path.resolve().name,
        classes=classes,
        images=torch.from_numpy(_stack([file for file, _ in files])),
        labels=torch.tensor([label for _, label in files], dtype=torch.int64),
    )


def _classes(path: Path, split: SplitName) -> tuple[str, ...]:
    folder = path / split
    if not folder.is_dir():
        raise InputError(f"'{path}' has no folder '{split}': a data set needs train/CLASS/*.png and test/CLASS/*.png")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise InputError(f"'{folder}' is empty: it needs a folder of images for each class")
    return tuple(names)


def _files(folder: Path) -> list[Path]:
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise InputError(f"'{folder}' holds no images: it needs {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]} files")
    return files


def _stack(files: list[Path]) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) of image files."""
    first = _pixels(files[0])
    stacked = np.empty((len(files), *first.shape), dtype=np.uint8)
    for index, file in enumerate(files):
        pixels = _pixels(file)
        if pixels.shape != first.shape:
            raise InputError(
                f"'{file}' is {_describe(pixels)}, but '{files[0]}' is {_describe(first)}: "
                "the images of a data set must be alike"
            )
        stacked[index] = pixels
    return stacked


def _pixels(file: Path) -> NDArray[Any]:
    """uint8 (C, H, W) of an image file."""
    from PIL import Image  # noqa: PLC0415 - for this kind of data set alone

    try:
        with Image.open(file) as image:
            if image.mode in _GREY:
                return np.asarray(image.convert("L"))[np.newaxis]
            if image.mode in _COLOUR:
                return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
            mode = image.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read the image '{file}' ({_first_line(error)}): replace or remove it") from None
    raise InputError(f"'{file}' has pixels of the kind '{mode}': save it as 8-bit grey or RGB")


def _describe(pixels: NDArray[Any]) -> str:
    channels, height, width = pixels.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
