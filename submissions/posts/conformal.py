"""conformal: quantiles moved until as much of the truth lies below them as they say.

Conformalised quantile regression (Romano, Patterson and Candès 2019, section 3, asymmetric version, level by
level): with scores E_n = (y_n - q_n) / s_n of out-of-fold rows, the forecast of level a becomes
q + s E_(ceil(a (n + 1))), the score of that rank. If new rows are exchangeable with the out-of-fold ones, the
share of truth below it is a, whatever the members' quantiles are worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from data.errors import InputError
from submissions.posts.base import (
    POSTS,
    LearningPost,
    Parameters,
    Post,
    PostData,
    PostRows,
    require_names,
)

UNITS = ("none", "width", "middle")
_LEAST_ROWS = 50  # judged rows of a group; one with fewer has the scores of all rows
_WHERE = "conformal"


@POSTS.register("conformal")
@dataclass(frozen=True)
class Conformal(LearningPost):
    """Points stay as they are. Without quantiles there is nothing to do."""

    by: list[str] = field(default_factory=list)  # columns whose values make the groups, series and step too
    unit: str = "none"  # s: none is 1; width: lowest to highest quantile; middle: |middle one|

    def __post_init__(self) -> None:
        require_names("by", self.by)
        if self.unit not in UNITS:
            raise InputError(f"unit is {self.unit!r}, expected one of {', '.join(UNITS)}")

    def reads(self) -> tuple[str, ...]:
        return tuple(self.by)

    def fit(self, data: PostData) -> Parameters:
        data = data.judged()
        quantiles = data.forecast.quantiles
        if quantiles is None or len(data.truth) == 0:
            return {"all": [], "groups": {}}
        error = data.truth[:, :, None] - quantiles
        unit = _size(self.unit, quantiles)
        score = np.divide(error, unit, out=np.zeros_like(error), where=unit > 0)
        groups = {}
        if self.by:
            names, group = np.unique(data.rows.groups(list(self.by), _WHERE), return_inverse=True)
            for number, name in enumerate(names.tolist()):
                if (group == number).sum() >= _LEAST_ROWS:
                    groups[name] = _ranked(score[group == number], data.forecast.levels).tolist()
        return {"all": _ranked(score, data.forecast.levels).tolist(), "groups": groups}

    def learnt(self, parameters: Parameters) -> Post:
        return _Conformed(tuple(self.by), self.unit, parameters["all"], parameters["groups"])


def _size(unit: str, quantiles: np.ndarray) -> np.ndarray:
    """(N, K, 1) what a score is measured in."""
    if unit == "width":
        return (quantiles[:, :, -1] - quantiles[:, :, 0])[:, :, None]
    if unit == "middle":
        return np.abs(quantiles[:, :, quantiles.shape[2] // 2])[:, :, None]
    return np.ones((*quantiles.shape[:2], 1))


def _ranked(score: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """(K, Q) from (n, K, Q): the score of rank ceil(level (n + 1)), from below for levels under the middle.

    A level below 1/2 is the mirror image of 1 - level, so that intervals are never too narrow by the
    correction for finite samples.
    """
    rows = len(score)
    ordered = np.sort(score, axis=0)
    chosen = np.empty(score.shape[1:])
    for number, level in enumerate(levels):
        if level >= 0.5:
            rank = int(np.ceil(round(level * (rows + 1), 9)))
        else:
            rank = rows + 1 - int(np.ceil(round((1 - level) * (rows + 1), 9)))
        chosen[:, number] = ordered[min(max(rank, 1), rows) - 1, :, number]
    return chosen


@dataclass(frozen=True)
class _Conformed(Post):
    by: tuple[str, ...]
    unit: str
    common: list[list[float]]  # (K, Q)
    groups: Mapping[str, list[list[float]]]

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        return value

    def apply_quantiles(self, quantiles: np.ndarray, levels: tuple[float, ...], rows: PostRows) -> np.ndarray:
        if not self.common:
            return quantiles
        moved = np.array([self.common])
        if self.by:
            names, group = np.unique(rows.groups(list(self.by), _WHERE), return_inverse=True)
            moved = np.array([self.groups.get(name, self.common) for name in names.tolist()])[group]
        shifted = quantiles + moved * _size(self.unit, quantiles)
        ordered: np.ndarray = np.sort(shifted, axis=2)  # levels were moved one by one
        return ordered
