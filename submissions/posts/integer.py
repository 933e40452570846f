"""integer: the nearest whole number, for counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from submissions.posts.base import POSTS, Post, PostRows


@POSTS.register("integer")
@dataclass(frozen=True)
class Integer(Post):
    """Halves go to the even neighbour."""

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        whole: np.ndarray = np.rint(value)
        return whole
