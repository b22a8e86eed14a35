"""Locks that a process holds while it works. The kernel releases them however the process ends, by SIGKILL too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows nobody sees who is at work
    HAS_LOCKS = False
else:
    HAS_LOCKS = True


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


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file at ``path``. The file is neither made nor changed."""
    if not HAS_LOCKS:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file system has no locks
        return False
    finally:
        os.close(descriptor)
    return False
