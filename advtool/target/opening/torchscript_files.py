"""``FILE.pt``: open a model that ``torch.jit`` scripted, traced or froze."""

import warnings
from pathlib import Path

import torch

from advtool.errors import InputError
from advtool.target.opening.archives import writer_of
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import ModelSpec, Opened
from advtool.target.opening.user_code import one_line


def make(reference: Reference, spec: ModelSpec) -> Opened:  # noqa: ARG001 - every kind has this signature
    """Open the model of a TorchScript file, on the CPU.

    Raises:
        InputError: the file is damaged, or another function than ``torch.jit.save`` wrote it.
    """
    path = Path(reference.name)
    with warnings.catch_warnings(), one_line(f"'{path}' cannot be read as TorchScript"):
        _check_writer(path)
        warnings.simplefilter("ignore", FutureWarning)  # torch warns that TorchScript is deprecated
        return Opened(torch.jit.load(str(path), map_location="cpu"))


def _check_writer(path: Path) -> None:
    """Refuse a file that ``torch.jit.save`` did not write, before torch reads it, and say how to give it."""
    writer = writer_of(path)
    if writer == "torch.save":
        raise InputError(
            f"'{path}' was written by torch.save, not by torch.jit.save: name the model's factory, and give the file "
            f"with --weights '{path}' if it holds a state dict (if it holds a whole model, save its state_dict() first)"
        )
    if writer == "torch.export.save":
        raise InputError(f"'{path}' is a torch.export file: give it the name {path.stem}.pt2")
    if writer != "torch.jit.save":
        raise InputError(f"'{path}' is damaged, or not a TorchScript file")
