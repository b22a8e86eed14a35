"""The memory of this process: how it keeps freed blocks for the next pass, and its peak."""

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


def peak_bytes() -> int:
    """The peak of this process's resident memory so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
