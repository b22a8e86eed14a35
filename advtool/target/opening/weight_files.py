"""Read files of weights without running any code in them."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from advtool import tensor_files
from advtool.errors import InputError, in_words
from advtool.target.opening.archives import writer_of
from advtool.target.opening.user_code import one_line


def read(path: Path) -> Any:
    """Read a file of weights on to the CPU.

    Args:
        path: safetensors, or a file of ``torch.save``.

    Returns:
        What the file holds, in most cases a dict of tensors, or a dict of such dicts.

    Raises:
        InputError: the file is damaged, holds a whole model, or is a pickle that can run code.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:9] == b"{":
        try:
            return tensor_files.read(path)[1]
        except (ValueError, OSError) as error:
            raise InputError(f"--weights '{path}' is damaged or truncated ({in_words(error)})") from None
    with one_line(f"--weights '{path}' is damaged"):
        _check_writer(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about old files
            return torch.load(path, map_location="cpu", weights_only=True)
    except (Exception, MemoryError) as error:  # a damaged file may ask for any memory
        raise InputError(f"--weights '{path}' {_why_not(error, start)}") from None


def _check_writer(path: Path) -> None:
    kinds, writer = {"torch.jit.save": "TorchScript", "torch.export.save": "torch.export"}, writer_of(path)
    if not writer:
        raise InputError(f"--weights '{path}' is damaged, or not a file of weights")
    if kind := kinds.get(writer):
        raise InputError(f"--weights '{path}' is a {kind} model, not weights alone: give it as MODEL")


def _why_not(error: Exception, start: bytes) -> str:
    """Why ``torch.load`` refused a file, in words for the user."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    if not named and not (isinstance(error, pickle.UnpicklingError) and start[:2] in {b"PK", b"\x80\x02"}):
        return "is damaged, or not a file of weights"
    return (
        f"is a pickle that can run any code{f' (it names {named[1]})' if named else ''}: refused; "
        "save the tensors alone, torch.save(model.state_dict(), 'weights.pt'), and give that file"
    )
