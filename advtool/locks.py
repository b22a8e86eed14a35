"""Locks that a process holds while it works. The kernel releases them however the process ends, by SIGKILL too."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from advtool.errors import InputError
from advtool.files import make_folder

try:
    import fcntl
except ImportError:  # Windows: there nobody sees who is at work
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What ``flock`` says on a file system that has no locks."""
SECONDS_BETWEEN_TRIES = 0.2
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_open: set[int] = set()
"""The lock files that this process has open."""


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``, which is made if it is absent. Several processes may hold it together.

    Where the file system has no locks, or nobody may write, nothing is held: the lock only shows others that the run
    is going on.
    """
    descriptor = None
    try:
        with suppress(OSError):
            descriptor = _opened(path)
            if HAS_LOCKS:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        if descriptor is not None:
            _close(descriptor)


@contextmanager
def alone(path: Path, *, waits: Callable[[], None] | None = None) -> Iterator[bool]:
    """Try to hold the lock file at ``path`` alone. It and its folder are made if they are absent.

    Args:
        path: of the lock file.
        waits: is called again and again while another process holds it, until that one lets go or dies. None: this one
            does not wait.

    Yields:
        Whether this process may work. False: another one holds the lock. True where the file system has no locks: two
        processes may do the same work there, and what they write is equal and whole.

    Raises:
        InputError: the file cannot be made.
    """
    try:
        descriptor = _made(path)
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}") from None
    try:
        while not (ours := _take(descriptor)) and waits is not None:
            waits()
            time.sleep(SECONDS_BETWEEN_TRIES)
        if ours and not _is_at(path, descriptor):  # its holder has removed it, and others may lock a new one
            with alone(path, waits=waits) as ours:
                yield ours
        else:
            yield ours
    finally:
        _close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file at ``path``. The file is neither made nor changed."""
    if not HAS_LOCKS:
        return False
    for flags in (os.O_RDWR, os.O_RDONLY):  # NFS locks alone what may be written; elsewhere reading is enough
        with suppress(OSError):
            descriptor = _opened(path, flags)
            try:
                return not _take(descriptor)
            finally:
                _close(descriptor)
    return False


def _made(path: Path) -> int:
    """The open lock file. Whoever gives up a run may remove it and its folder at any moment."""
    while True:
        make_folder(path.parent)
        try:
            return _opened(path)
        except FileNotFoundError:
            if path.parent.exists():  # then something else is missing
                raise


def _opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    descriptor = os.open(path, flags | NO_LINK, 0o666)
    _open.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    if descriptor in _open:  # not in a process that was forked meanwhile
        _open.remove(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """Close the lock files of the parent in a forked process, which would hold the locks when the parent is dead."""
    while _open:
        os.close(_open.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _take(descriptor: int) -> bool:
    """Lock a file that is open; False if another process holds it."""
    if not HAS_LOCKS:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
