"""Settings of windows. A module of its own, so that the command line reads it without importing torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Windows:
    """How training windows are cut (see data/windows.py)."""

    context: int | None = None  # rows before the origin; null: the competition's, else 2 x horizon
    min_context: int = 1  # rows of history that a training window needs at least
    origins: str = "random"  # random, or all: every `stride` rows
    stride: int = 1
    per_epoch: int | None = None  # training windows an epoch; null: as many as there are non-overlapping ones
    scaling: str = "auto"  # location and scale of the target: auto, none, mean, standard, robust, constant
    recency: float = 0.0  # half-life in rows of the weight of an origin; 0: all equal
    input_scaling: str = "standard"  # of known columns, by training rows: standard, robust, quantile, none
