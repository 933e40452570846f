"""Compiled helpers of the inversion: which grid value a fractional index means, and what a valve tells.

numba looks at the file of a function to tell whether what it keeps on disk is stale, not at this one: after
a change here, change the callers' files too (ventilator_inversion, ventilator_exploration).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from data.sources.ventilator_controller import PRESSURE_COUNT


def compiled(function: Any) -> Any:
    """Compiled at the first call and kept on disk; in each process anew where nothing can be written."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder for its files
        return numba.njit(nogil=True)(function)


@compiled
def met_at(index: float, tolerance: float) -> int:
    """The grid value that a fractional index means, -1 where it means none."""
    nearest = np.rint(index)
    if abs(index - nearest) < tolerance and 0 <= nearest < PRESSURE_COUNT:
        return int(nearest)
    return -1


@compiled
def is_free(opening: float) -> bool:
    """Whether the valve is between its ends: at 0 or 100 percent it does not say what was asked of it."""
    return 0 < opening < 100
