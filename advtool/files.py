"""Files that are whole or absent, and what is in them."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from advtool.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that a reader sees the old file or the whole new one, even after a crash.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    temporary: Path | None = None
    try:
        path = path.resolve()  # a link stays a link
        if path.exists() and not path.is_file():  # a pipe, or /dev/null: nothing to replace
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with temporary.open("xb") as file:  # with the permissions of the process's umask, unlike tempfile's
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_writable(path: Path) -> None:
    """See before hours of work whether a file can be written at ``path``, or its folders be made.

    Raises:
        InputError: it cannot, or ``path`` is a folder itself.
    """
    if path.is_dir():
        raise InputError(f"--output '{path}' is a folder: name a file in it")
    nearest = next(folder for folder in path.resolve().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(f"cannot write --output '{path}': {error.strerror or error}") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
