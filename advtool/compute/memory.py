"""The process's memory: freed blocks that are kept for the next pass, and the peak."""

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
KEPT = 2**30
GROWN = {M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 64 * 2**20}
"""What glibc's own thresholds grow to while large blocks are freed, at most."""


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within it, glibc keeps freed blocks of up to a gibibyte for the next pass in place of giving them back.

    Each pass through a model asks for the same large blocks again, and the system hands out fresh pages one by one,
    cleared. Does nothing where there is no glibc.

    Afterwards what is free is given back, and the thresholds are those that glibc's own would have grown to: from the
    first call of ``mallopt`` on they no longer adapt, and at glibc's initial ones every later pass of the process
    would be slower than if nothing had been set.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, KEPT)
    mallopt(M_TRIM_THRESHOLD, KEPT)
    try:
        yield
    finally:
        for threshold, size in GROWN.items():
            mallopt(threshold, size)
        trim = _glibc("malloc_trim")
        if trim is not None:
            trim(0)


def peak_bytes() -> int:
    """The most memory that this process has had resident so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
