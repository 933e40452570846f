"""zero_where: 0 in the rows where an expression over raw columns holds, as `Open == 0`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError, unknown
from submissions.posts.base import POSTS, Post, PostRows


@POSTS.register("zero_where")
@dataclass(frozen=True)
class ZeroWhere(Post):
    """`where` reads columns that test rows have; it is evaluated once, when the panel is made."""

    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.where, str) or not self.where.strip():
            raise InputError(f"where is {self.where!r}, expected an expression such as 'Open == 0'")

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        if self.where not in rows.masks:
            raise unknown("expression", self.where, rows.masks, "zero_where: not evaluated with the panel")
        return np.where(rows.masks[self.where][rows.row_id][:, None], 0.0, value)
