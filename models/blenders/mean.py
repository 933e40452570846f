"""The plain mean of the members."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, Blender, BlendRows


@BLENDERS.register("mean")
class Mean(Blender):
    """Every member with the same weight: nothing to fit, and hard to beat where members are alike."""

    complexity: ClassVar[int] = 0

    def _predict(self, value: np.ndarray, rows: BlendRows) -> np.ndarray:
        mean: np.ndarray = value.mean(axis=1)
        return mean

    def _weights(self) -> np.ndarray:
        return np.full(len(self._order), 1.0 / len(self._order))
