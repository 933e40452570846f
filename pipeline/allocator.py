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
    _collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other systems do without
    if trim is not None:
        trim(0)


def _collect() -> None:
    """Free cycles; what the imports since last time have made is not looked at again.

    torch and pandas leave half a million objects that live as long as the process; looking through them takes
    a collection 0.1 to 0.2 s, a small job no longer. They are set aside only when a module is new, since a
    cycle that lives at that moment is never freed.
    """
    global _modules
    gc.collect()
    if len(sys.modules) != _modules:
        _modules = len(sys.modules)
        gc.freeze()


_modules = 0  # that were loaded when objects were last set aside
