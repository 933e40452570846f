"""What a blender is: it combines the members' predictions, row by row, after a look at out-of-fold rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data.registry import Registry
from data.scoring import Asked

BLENDERS: Registry[type[Blender]] = Registry("blender", "models.blenders")


@dataclass(frozen=True)
class BlendData:
    """Out-of-fold predictions of M members, and how a prediction of the same rows is judged."""

    value: np.ndarray  # (N, M, K) float64, original units
    asked: Asked  # the N rows, with truth and weight
    judge: Callable[[Asked, np.ndarray], float]  # (rows, (N, K)) -> loss, lower is better; NaN: not defined

    @property
    def truth(self) -> np.ndarray:
        """(N, K), NaN where it is not known."""
        return self.asked.truth

    @property
    def weight(self) -> np.ndarray:
        """(N,) float32, 0 where not judged."""
        return self.asked.weight

    @property
    def members(self) -> int:
        """M."""
        return self.value.shape[1]

    def loss(self, prediction: np.ndarray) -> float:
        """The deciding metric of (N, K), signed so that lower is better; inf where it is not defined."""
        loss = float(self.judge(self.asked, prediction))
        return loss if np.isfinite(loss) else float("inf")

    def take(self, rows: np.ndarray) -> BlendData:
        """The rows `rows` (index or bool mask)."""
        return BlendData(self.value[rows], self.asked.take(rows), self.judge)

    def with_members(self, order: Sequence[int] | np.ndarray) -> BlendData:
        """The members `order`, in that order."""
        return BlendData(self.value[:, np.asarray(order)], self.asked, self.judge)


class Blender(ABC):
    """One way to combine M members. The order of the members means nothing."""

    complexity: ClassVar[int]  # of two that score alike the one with the smaller number is taken
    fitted: ClassVar[bool] = False  # whether it learns from out-of-fold rows

    @abstractmethod
    def fit(self, data: BlendData) -> None:
        """Learn from out-of-fold rows. Deterministic."""

    @abstractmethod
    def predict(self, value: np.ndarray) -> np.ndarray:
        """(N, K) from the members' predictions (N, M, K)."""

    def weights(self, names: Sequence[str]) -> dict[str, float] | None:
        """The weight of each member, where the blender is a weighted mean."""
        return None
