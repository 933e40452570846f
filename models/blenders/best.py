"""The best single member: what every blend has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, Blender


@BLENDERS.register("best")
class Best(Blender):
    """The member with the lowest out-of-fold loss, alone; of equal ones the mean."""

    complexity: ClassVar[int] = 2
    fitted: ClassVar[bool] = True

    def __init__(self) -> None:
        self.share: np.ndarray | None = None  # (M,)

    def fit(self, data: BlendData) -> None:
        losses = np.array([data.loss(data.value[:, member]) for member in range(data.members)])
        lowest = losses == losses.min()
        self.share = lowest / lowest.sum()

    def predict(self, value: np.ndarray) -> np.ndarray:
        assert self.share is not None, "predict comes after fit"
        chosen = np.flatnonzero(self.share)
        mean: np.ndarray = value[:, chosen].mean(axis=1)
        return mean

    def weights(self, names: Sequence[str]) -> dict[str, float]:
        assert self.share is not None, "weights come after fit"
        return {name: float(share) for name, share in zip(names, self.share, strict=True)}
