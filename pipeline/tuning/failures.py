"""Failures of a fit that say something about its settings: the trial is pruned, with a reason."""

from __future__ import annotations

import re

from pipeline.executor import JobFailed

PRUNED = "TrialPruned"  # Optuna's, raised in the worker

#: Beginning of the one-line reason of a JobFailed: what the trial is told to have run into.
KINDS: tuple[tuple[str, str], ...] = (
    (rf"{PRUNED}", "pruned"),
    (r"(?:\w+\.)*OutOfMemoryError|MemoryError", "out of memory"),
    (r".*(?:CUDA|HIP) out of memory", "out of memory"),
    (r".*DefaultCPUAllocator: (?:can't|not enough)", "out of memory"),
    (r".*was killed by signal 9", "out of memory, or killed by hand"),
    (r"TrainingDiverged", "diverged"),
    (r"IncompletePredictions: .* is not finite", "diverged"),
    (r"FloatingPointError", "diverged"),
)


def reason_of(error: JobFailed) -> str | None:
    """In one line why the settings are to blame; None where they are not known to be."""
    for pattern, words in KINDS:
        if re.match(pattern, error.reason):
            return error.reason.partition(": ")[2] if words == "pruned" else f"{words}: {error.reason}"
    return None
