"""Files that are whole or absent, and what is in them."""

import errno
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from advtool import arguments
from advtool.errors import InputError

UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{16}")
"""The name of a file while it is written; its group is the name that it will have."""
NO_SYNC = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ENOTSUP}
"""Where folders cannot be synced: Windows opens none, and some file systems of a network do not know it."""


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that a reader sees the old file or the whole new one, even after a crash.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    temporary: Path | None = None
    try:
        if is_special(path):  # before its links are followed: /dev/stdout may lead to a pipe, whose name is no path
            path.write_bytes(content)
            return
        path = resolved(path)  # a link stays a link
        make_folder(path.parent)
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
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def resolved(path: Path) -> Path:
    """The path without links.

    Raises:
        InputError: its links lead in a circle, of which ``Path.resolve`` makes what the version of Python wants.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"the links of '{path}' lead in a circle") from None
    return path.resolve()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they survive a power failure."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)  # others may remove an empty folder meanwhile
        _sync_folder(folder.parent)


def remove_unfinished(folder: Path, names: str) -> None:
    """Remove what killed writes have left of files whose ``names`` match a pattern. Nobody may write them meanwhile."""
    with suppress(OSError):  # there is no such folder, or nobody may read it
        for path in list(folder.iterdir()):
            left = UNFINISHED.fullmatch(path.name)
            if left and fnmatchcase(left[1], names):
                with suppress(OSError):
                    path.unlink()


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file, of which no more than ``most`` bytes are read.

    Raises:
        OSError: the file cannot be read, it is larger, or it is a pipe or a device, which may have no end.
    """
    if is_special(path):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return read_any(path, most)


def read_any(path: Path, most: int) -> bytes:
    """As :func:`read_bytes`, of a file that the user named: it may be a pipe.

    Raises:
        OSError: the file cannot be read, or it is larger.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most / 2**20:.0f} MiB", str(path))
    return content


def refuse_links(folder: Path, *names: str) -> None:
    """Refuse a folder in which something is no file and no folder: writing into it would write elsewhere.

    Args:
        folder: it may be a link itself, since the user named it; it may be absent.
        names: look at these entries alone, and at all below them; none: at everything.

    Raises:
        InputError: it holds a link, a pipe or a device; or it cannot be read.
    """
    try:
        for entry in _entries(folder, names) if folder.is_dir() else ():
            if not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
                what = "a link" if entry.is_symlink() else "no regular file"
                raise InputError(
                    f"'{entry.path}' is {what}, and nothing is written through it: copy the folder without links"
                )
    except OSError as error:
        raise InputError(f"cannot read '{folder}': {error.strerror or error}") from None


def _entries(folder: str | Path, names: Collection[str] = ()) -> "Iterator[os.DirEntry[str]]":
    """All that is in a folder and in the folders below it. Links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if names and entry.name not in names:
                continue
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path: Path, option: str = "--output") -> None:
    """See before hours of work whether a file can be written at ``path``, or its folders be made.

    Args:
        path: of the file.
        option: that named it, for the message.

    Raises:
        InputError: it cannot, or ``path`` is a folder itself.
    """
    if path.is_dir():
        raise InputError(f"{option} '{path}' is a folder: name a file in it")
    arguments.encodable(option, os.fspath(path))
    try:
        if is_special(path):  # its folder does not matter
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        nearest = next(folder for folder in resolved(path).parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(f"cannot write {option} '{path}': {error.strerror or error}") from None


def is_special(path: Path) -> bool:
    """Whether it is there and no regular file: a pipe or a device, which nobody replaces, or a folder."""
    return path.exists() and not path.is_file()


def _sync_folder(folder: Path) -> None:
    """Sync the folder, so that the name of a new file survives a power failure."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
