"""Tell which function of torch wrote a file, and how large it would be, without loading the file."""

import tarfile
import zipfile
from pathlib import Path
from typing import Literal

from advtool.data.archive_file import check_sizes

Writer = Literal["torch.jit.save", "torch.export.save", "torch.save", ""]

WRITER_OF_MEMBER: dict[str, Writer] = {
    "constants.pkl": "torch.jit.save",
    "archive_format": "torch.export.save",
    "serialized_exported_program.json": "torch.export.save",  # up to torch 2.6
    "data.pkl": "torch.save",  # torch.jit.save writes this file too, so constants.pkl comes first
}
"""Files inside an archive, and the function that writes them."""


def writer_of(path: Path) -> Writer:
    """The function that wrote ``path``; "" if the file is damaged or of another writer.

    Torch up to 2.5 runs code that a tar archive holds, with ``weights_only=True`` too (CVE-2025-32434). It is of
    another writer: torch has written none since version 0.1.

    Raises:
        ValueError: the file would fill the memory.
    """
    if not zipfile.is_zipfile(path):
        if tarfile.is_tarfile(path):
            return ""
        with path.open("rb") as file:
            return "torch.save" if file.read(1) == b"\x80" else ""  # torch.save wrote bare pickles before torch 1.6
    with zipfile.ZipFile(path) as archive:
        check_sizes(path, archive.infolist())
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    return next((writer for member, writer in WRITER_OF_MEMBER.items() if member in names), "")
