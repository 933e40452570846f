"""Peak memory of this process, as a whole and since a moment."""

from __future__ import annotations

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
