"""The best single member: what every blend has to beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, WeightedBlender


@BLENDERS.register("best")
class Best(WeightedBlender):
    """The member with the lowest out-of-fold loss, alone; of equal ones the mean."""

    complexity: ClassVar[int] = 3

    def _fit(self, data: BlendData) -> None:
        losses = np.array([data.loss(data.value[:, member]) for member in range(data.members)])
        lowest = losses == losses.min()
        self.weight = lowest / lowest.sum()
