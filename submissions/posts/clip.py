"""clip: nothing below `low`, nothing above `high`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError
from submissions.posts.base import POSTS, Post, PostRows, require_number


@POSTS.register("clip")
@dataclass(frozen=True)
class Clip(Post):
    """Bounds in original units; null: no bound on that side."""

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name))
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InputError(f"low is {self.low:g}, above high ({self.high:g})")

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        clipped: np.ndarray = np.clip(value, low, high)
        return clipped
