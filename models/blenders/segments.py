"""Convex weights of their own for each segment of the rows: by series group, by horizon step."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, Blender, BlendRows, weighted
from models.blenders.convex import convex_weights

_MOST_ROWS = 60_000
_EVALUATIONS = 200  # of the metric, in each segment
_PRIOR = 500  # judged rows: a segment with as many goes half the way from the common weights to its own


class BySegment(Blender):
    """Members differ in what they are good at; weights of small segments are drawn towards those of all.

        w_segment = (n w_own + prior w_all) / (n + prior),    n judged rows

    Rows of a segment that was not seen are blended by the common weights.
    """

    fitted: ClassVar[bool] = True
    common: np.ndarray  # (M,)
    own: dict[int, np.ndarray]  # segment: (M,)

    @abstractmethod
    def segment(self, rows: BlendRows) -> np.ndarray:
        """(N,) int64."""

    def _fit(self, data: BlendData) -> None:
        self.common = convex_weights(data, _MOST_ROWS, _EVALUATIONS)
        self.own = {}
        segment = self.segment(data.rows)
        names = np.unique(segment)
        for name in names.tolist() if len(names) > 1 else ():
            rows = segment == name
            part = data.take(rows)
            # Where the metric has no value in a segment (R2 of a constant), its weights would mean nothing.
            if rows.sum() < 2 * data.members or not np.isfinite(part.loss(weighted(part.value, self.common))):
                continue
            share = rows.sum() / (rows.sum() + _PRIOR)
            found = convex_weights(part, _MOST_ROWS, _EVALUATIONS)
            self.own[int(name)] = self.common + share * (found - self.common)

    def _predict(self, value: np.ndarray, rows: BlendRows) -> np.ndarray:
        segment = self.segment(rows)
        names, number = np.unique(segment, return_inverse=True)
        table = np.array([self.own.get(int(name), self.common) for name in names]).reshape(-1, value.shape[1])
        blend: np.ndarray = np.einsum("nmk,nm->nk", value, table[number])
        return blend


@BLENDERS.register("by_group")
class ByGroup(BySegment):
    """By series group (`blend.group`, else the first static categorical column)."""

    complexity: ClassVar[int] = 7

    def segment(self, rows: BlendRows) -> np.ndarray:
        return rows.group


@BLENDERS.register("by_step")
class ByStep(BySegment):
    """By horizon step: 1, 2 to 3, 4 to 7, 8 to 15, and so on."""

    complexity: ClassVar[int] = 8

    def segment(self, rows: BlendRows) -> np.ndarray:
        return np.floor(np.log2(np.maximum(rows.step, 1))).astype(np.int64)
