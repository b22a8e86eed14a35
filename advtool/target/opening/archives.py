"""Which function of torch wrote a file, told without loading it."""

import zipfile
from pathlib import Path
from typing import Literal

Writer = Literal["torch.jit.save", "torch.export.save", "torch.save", ""]

# A file in the archive that only this function writes; torch.export wrote the second one up to torch 2.6.
SIGNS: dict[str, Writer] = {
    "constants.pkl": "torch.jit.save",
    "archive_format": "torch.export.save",
    "serialized_exported_program.json": "torch.export.save",
    "data.pkl": "torch.save",  # torch.jit.save writes one too, and is found first
}


def writer_of(path: Path) -> Writer:
    """The function that wrote ``path``; "" if it is none of them, or the file is damaged."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return "torch.save" if file.read(1) == b"\x80" else ""  # a bare pickle, as before torch 1.6
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    return next((SIGNS[sign] for sign in SIGNS if sign in names), "")
