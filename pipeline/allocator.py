"""What becomes of freed memory: kept while a member is fitted, given back between jobs.

Every step of training allocates the same large tensors again. glibc takes what is larger than 32 MiB, and
what makes the heap's free end larger than 64 MiB, from the system each time and gives it back each time; then
the first touch of every 4 KiB costs a page fault. A step of a bidirectional LSTM took up to twice as long.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Where glibc's own moving thresholds end.
MMAP_BY_ITSELF, TRIM_BY_ITSELF = 32 * 2**20, 64 * 2**20
#: A larger tensor comes from the system as ever.
LARGEST = 2**30
#: Free memory at the end of the heap beyond this goes back.
MOST_KEPT = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """While inside; afterwards glibc gives back what it did before. Other systems' allocators do as ever."""
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, MMAP_BY_ITSELF)
        mallopt(M_TRIM_THRESHOLD, TRIM_BY_ITSELF)


def release_memory() -> None:
    """Give back what finished work has left: cycles (a trainer with its callbacks), free lists of allocators.

    A worker does many jobs; without this each of them adds to what the next one starts with.
    """
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other systems do without
    if trim is not None:
        trim(0)
