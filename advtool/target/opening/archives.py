"""Tell which function of torch wrote a file, without loading the file."""

import zipfile
from pathlib import Path
from typing import Literal

Writer = Literal["torch.jit.save", "torch.export.save", "torch.save", ""]

WRITER_OF_MEMBER: dict[str, Writer] = {
    "constants.pkl": "torch.jit.save",
    "archive_format": "torch.export.save",
    "serialized_exported_program.json": "torch.export.save",  # up to torch 2.6
    "data.pkl": "torch.save",  # torch.jit.save writes this file too, so constants.pkl comes first
}
"""Files inside an archive, and the function that writes them."""


def writer_of(path: Path) -> Writer:
    """The function that wrote ``path``; "" if the file is damaged or of another writer."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return "torch.save" if file.read(1) == b"\x80" else ""  # torch.save wrote bare pickles before torch 1.6
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    return next((writer for member, writer in WRITER_OF_MEMBER.items() if member in names), "")
