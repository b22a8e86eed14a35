"""``FILE.pt``: a model that ``torch.jit`` scripted, traced or froze."""

import warnings
import zipfile
from pathlib import Path

import torch

from advtool.errors import InputError
from advtool.target.opening.kinds import Reference
from advtool.target.opening.spec import Made, ModelSpec
from advtool.target.opening.user_code import one_line


def make(reference: Reference, spec: ModelSpec) -> Made:  # noqa: ARG001 - every kind has this signature
    """The model of a TorchScript archive, on the CPU.

    Raises:
        InputError: the file is a pickle or a state dict, another archive, or damaged.
    """
    path = Path(reference.name)
    _check_archive(path)
    with warnings.catch_warnings(), one_line(f"'{path}' cannot be read as TorchScript"):
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is old: the user knows
        return Made(torch.jit.load(str(path), map_location="cpu"))


def _check_archive(path: Path) -> None:
    """Look into the zip before torch does: anything but TorchScript is refused with the way to give it."""
    weights_alone = (
        f"'{path}' was written by torch.save, not by torch.jit.save: name the model's factory and give the file "
        f"with --weights '{path}'"
    )
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            pickled = file.read(1) == b"\x80"
        raise InputError(weights_alone if pickled else f"'{path}' is damaged, or no TorchScript file")
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    if "archive_format" in names:
        raise InputError(f"'{path}' is a torch.export file: give it the name {path.stem}.pt2")
    if "constants.pkl" not in names:
        raise InputError(weights_alone if "data.pkl" in names else f"'{path}' is no TorchScript file")
