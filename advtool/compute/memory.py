"""The memory of this process: how it keeps freed blocks for the next pass, and its peak."""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows has none
    HAS_RESOURCE = False
else:
    HAS_RESOURCE = True

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
KEPT_BYTES = 2**30
THRESHOLDS_AFTERWARDS = {M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20}
"""In bytes: the largest values to which glibc itself raises its thresholds when large blocks are freed."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within this context glibc keeps freed blocks of up to a gibibyte for the next pass.

    Every pass through a model asks for the same large blocks. If glibc gave them back to the system, it would get new
    pages, which the system has to clear first. Without glibc this context does nothing.

    Afterwards free memory goes back to the system. The thresholds get the values to which glibc would have raised them:
    after a call of ``mallopt`` glibc no longer adapts them, and its initial values would make all later passes slower.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    try:
        yield
    finally:
        for threshold, size in THRESHOLDS_AFTERWARDS.items():
            mallopt(threshold, size)
        trim = _glibc("malloc_trim")
        if trim is not None:
            trim(0)


def available_bytes() -> int | None:
    """The memory that the system can still give, in bytes, within the limit of a container; None if it does not say."""
    free: list[int] = []
    with suppress(OSError):
        said = re.search(r"^MemAvailable: *([0-9]+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
        free += [1024 * int(said[1])] if said else []
    with suppress(OSError, ValueError):  # "max" where there is no limit
        free.append(free_in_group(Path("/sys/fs/cgroup")))
    return min(free, default=None)


def free_in_group(group: Path) -> int:
    """What the limit of a control group leaves free, in bytes. Files that the kernel keeps in memory count as free.

    Raises:
        OSError: the group has no limits, or is one of version 1.
        ValueError: there is no limit.
    """
    used = int((group / "memory.current").read_text())
    lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    cached = sum(int(size) for name, size in lines if name in ("inactive_file", "active_file"))
    return max(0, int((group / "memory.max").read_text()) - max(0, used - cached))


def peak_bytes() -> int | None:
    """The peak of this process's resident memory so far, in bytes; None where the system does not say."""
    if not HAS_RESOURCE:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
