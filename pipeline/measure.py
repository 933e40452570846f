"""Peak memory of this process, as a whole and since a moment."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

_highest = 0.0


def reset_peak() -> None:
    """Let `peak_memory_mib` count from now on, where the system can (Linux)."""
    process_peak_memory_mib()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """Largest resident memory since `reset_peak` (Linux) or since the process began, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def process_peak_memory_mib() -> float:
    """Largest resident memory of the process's whole life, in MiB, whatever was reset."""
    global _highest
    _highest = max(_highest, peak_memory_mib())
    return _highest


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
