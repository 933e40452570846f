"""grid: the nearest of evenly spaced values, as a sensor or a price list has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError
from submissions.posts.base import POSTS, Post, PostRows, require_number


@POSTS.register("grid")
@dataclass(frozen=True)
class Grid(Post):
    """The values start + step * (0, 1, ..., count - 1)."""

    start: float
    step: float
    count: int

    def __post_init__(self) -> None:
        for name in ("start", "step", "count"):
            require_number(name, getattr(self, name))
        if self.step <= 0:
            raise InputError(f"step is {self.step:g}, expected a number above 0")
        if not isinstance(self.count, int) or self.count < 1:
            raise InputError(f"count is {self.count!r}, expected a whole number from 1 on")

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        number = np.clip(np.rint((value - self.start) / self.step), 0, self.count - 1)
        snapped: np.ndarray = self.start + self.step * number
        return snapped
