"""The memory of the process: freed blocks are kept for the next pass; the peak."""

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
MOST_BYTES_KEPT = 2**30
GROWN_THRESHOLDS = {M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20}
"""Bytes up to which glibc itself raises its thresholds while large blocks are freed."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within it, glibc keeps up to a gibibyte of freed blocks for the next pass instead of giving them back.

    Each pass through a model asks for the same large blocks again. The system would hand them out as fresh pages, and
    clear these one by one. Without glibc nothing happens.

    Afterwards the free blocks are given back. glibc stops adapting its thresholds at the first call of ``mallopt``, and
    its initial ones would slow down the process from then on. So they are left where glibc itself would have raised
    them.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, MOST_BYTES_KEPT)
    mallopt(M_TRIM_THRESHOLD, MOST_BYTES_KEPT)
    try:
        yield
    finally:
        for threshold, size in GROWN_THRESHOLDS.items():
            mallopt(threshold, size)
        trim = _glibc("malloc_trim")
        if trim is not None:
            trim(0)


def peak_bytes() -> int:
    """The largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
