"""MNIST, Fashion-MNIST and CIFAR-10 with torchvision's loaders, which download missing files and check them."""

import sys
import tarfile
import warnings
import zlib
from contextlib import redirect_stdout
from errno import ENOSPC
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from advtool.data.catalogue import Known, Torchvision, locate
from advtool.data.split import Split, SplitName
from advtool.errors import InputError

# Errors of network, disk and archives; then the errors with which torchvision refuses a file.
_FAILURES = (
    OSError,
    HTTPException,
    EOFError,
    tarfile.TarError,
    zlib.error,
    RuntimeError,
    AssertionError,
    ValueError,
    TypeError,
)


def load(known: Known, names: Torchvision, split: SplitName, cache: Path) -> Split:
    """One split. If it is not in ``cache``, it is downloaded first, with progress on stderr.

    Raises:
        InputError: the download failed, its checksum is wrong, or the files in ``cache`` are damaged.
    """
    was_there = locate(known, cache) is not None
    try:
        loaded = _open(names, split, cache)
    except _FAILURES as error:
        message = _damaged(known, names, cache) if was_there else _not_downloaded(known, cache, error)
        raise InputError(message) from None
    return Split(known.name, known.classes, _images(loaded.data), torch.as_tensor(loaded.targets))


def _open(names: Torchvision, split: SplitName, cache: Path) -> Any:
    from torchvision import datasets  # noqa: PLC0415 - it takes seconds, and only these data sets need it

    # Older versions of torchvision print to stdout, where the answer of a command belongs.
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        # The pickles of CIFAR-10 are older than the rule of NumPy that they break.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        return getattr(datasets, names.loader)(cache, train=split == "train", download=True)


def _images(data: Any) -> Tensor:
    """(N, C, H, W) of MNIST's (N, H, W) tensor or CIFAR's (N, H, W, C) array."""
    images = torch.as_tensor(data)
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()


def _damaged(known: Known, names: Torchvision, cache: Path) -> str:
    return (
        f"the files of '{known.name}' in '{cache / names.folder}' are damaged (wrong checksum or format): "
        f"delete that folder and run 'advtool data fetch {known.name}', or put '{known.npz}' into '{cache}'"
    )


def _not_downloaded(known: Known, cache: Path, error: Exception) -> str:
    if _is_local(error):
        return f"cannot write '{known.name}' into '{cache}' ({_reason(error)}): name a folder with --data-dir"
    if "corrupted" in str(error):
        return (
            f"the download of '{known.name}' into '{cache}' has a wrong checksum: "
            f"run 'advtool data fetch {known.name}' again, or put '{known.npz}' there"
        )
    return (
        f"cannot download '{known.name}' into '{cache}' ({_reason(error)}): check the network, "
        f"or put '{known.npz}' there, with x_train, y_train, x_test and y_test"
    )


def _is_local(error: Exception) -> bool:
    """Whether the disk failed. A failed connection is an OSError too, but it names no file."""
    if not isinstance(error, OSError) or isinstance(error, URLError):
        return False
    return error.filename is not None or error.errno == ENOSPC


def _reason(error: Exception) -> str:
    """The last line of a message: torchvision lists every mirror with its failure."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return lines[-1].strip("<>").removeprefix("urlopen error ")
