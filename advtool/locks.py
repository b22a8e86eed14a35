"""Locks that a process holds while it works. The kernel releases them however the process ends, by SIGKILL too."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from advtool.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: there nobody sees who is at work
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What ``flock`` says on a file system that has no locks."""


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``, which is made if it is absent. Several processes may hold it together.

    Where the file system has no locks, or nobody may write, nothing is held: the lock tells others, and
    protects nothing.
    """
    descriptor = None
    try:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            if HAS_LOCKS:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def alone(path: Path, *, wait: bool) -> Iterator[bool]:
    """Try to hold the lock file at ``path`` alone. It and its folder are made if they are absent.

    Args:
        path: of the lock file.
        wait: until whoever holds it lets go or dies.

    Yields:
        Whether this process may work. False: another one holds the lock. True where the file system has no locks: two
        processes may do the same work there, and what they write is equal and whole.

    Raises:
        InputError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}") from None
    try:
        yield _take(descriptor, wait=wait)
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file at ``path``. The file is neither made nor changed."""
    if not HAS_LOCKS:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _take(descriptor, wait=False)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _take(descriptor: int, *, wait: bool) -> bool:
    """Lock a file that is open; False if another process holds it."""
    if not HAS_LOCKS:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
