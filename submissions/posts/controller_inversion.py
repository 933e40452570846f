"""controller_inversion: the ventilator's pressure where u_in gives it away, in place of the prediction.

A breath's valve was steered by a controller that saw the pressure, so its settings and the pressure can be
solved for from the inputs alone (data.sources.ventilator_inversion), as the first two teams of Kaggle's
Ventilator Pressure Prediction (2021) did. It reads u_in, time_step and u_out of the asked rows, which the
competition gives, and no pressure of any row: it is no leak of truth between rows, but it is no forecast
either, which is why scores with and without it stand side by side (scores.json: post.after).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import InputError
from submissions.posts.base import POSTS, Post, PostRows


@POSTS.register("controller_inversion")
@dataclass(frozen=True)
class ControllerInversion(Post):
    """Rows that are not determined, and all rows of breaths that are not solved, keep their prediction."""

    u_in: str = "u_in"  # column of the inspiratory valve, percent
    time_step: str = "time_step"  # seconds
    u_out: str = "u_out"  # 0 on inspiration

    def __post_init__(self) -> None:
        for name in ("u_in", "time_step", "u_out"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise InputError(f"{name} is {value!r}, expected the name of a column")

    def reads(self) -> tuple[str, ...]:
        return (self.u_in, self.time_step, self.u_out)

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        from data.sources.ventilator_inversion import (
            invert_breaths,
        )  # compiles: not for those who check names

        assert rows.offsets is not None, "rows without their series"
        series = np.unique(np.searchsorted(rows.offsets, rows.row_id, side="right") - 1)
        first, length = rows.offsets[series], np.diff(rows.offsets)[series]
        # Breaths side by side; those that are shorter end in NaN, where the inversion stops.
        place = first[:, None] + np.arange(int(length.max(initial=0)))
        inside = place < (first + length)[:, None]
        place = np.where(inside, place, 0)
        u_in, time_step, u_out = (
            np.where(inside, rows.column(name, "controller_inversion")[place].astype(np.float64), np.nan)
            for name in self.reads()
        )
        pressure = np.full(int(rows.offsets[-1]), np.nan)
        pressure[place[inside]] = invert_breaths(u_in, time_step, u_out).pressure[inside]
        known = pressure[rows.row_id][:, None]
        replaced: np.ndarray = np.where(np.isfinite(known), known, value)
        return replaced
