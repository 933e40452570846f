"""The plain mean of the members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, Blender


@BLENDERS.register("mean")
class Mean(Blender):
    """Every member with the same weight: nothing to fit, and hard to beat where members are alike."""

    complexity: ClassVar[int] = 0

    def fit(self, data: BlendData) -> None:
        """Nothing is learnt."""

    def predict(self, value: np.ndarray) -> np.ndarray:
        mean: np.ndarray = value.mean(axis=1)
        return mean

    def weights(self, names: Sequence[str]) -> dict[str, float]:
        return {name: 1.0 / len(names) for name in names}
