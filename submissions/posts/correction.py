"""correction: predictions multiplied by a constant, or moved by one, for each group of rows.

The winner of Rossmann Store Sales (Kaggle 2015) multiplied by 0.985: members that are fitted on logarithms,
or to be right on average, are not at the optimum of a relative metric. Here the constant is the one that the
competition's own metric likes best on out-of-fold rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar

from data.errors import InputError
from submissions.posts.base import (
    POSTS,
    LearningPost,
    Parameters,
    Post,
    PostData,
    PostRows,
    require_names,
    require_number,
)

HOW = ("scale", "bias")
_WHERE = "correction"


@POSTS.register("correction")
@dataclass(frozen=True)
class Correction(LearningPost):
    """One constant a group, drawn towards that of all rows: a group of `prior` judged rows goes half the way.

    Targets share a constant where it is a factor; a bias is in each target's unit, so with several targets
    each has its own.
    """

    how: str = "scale"  # scale: times a constant; bias: plus a constant
    by: list[str] = field(default_factory=list)  # columns whose values make the groups; series and step too
    prior: float = 200.0  # rows
    most: float = 0.2  # a factor stays within 1 - most .. 1 + most, a bias within that share of the mean |y|

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise InputError(f"how is {self.how!r}, expected one of {', '.join(HOW)}")
        require_names("by", self.by)
        for name in ("prior", "most"):
            require_number(name, getattr(self, name))
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name):g}, expected a number from 0 on")

    def reads(self) -> tuple[str, ...]:
        return tuple(self.by)

    def fit(self, data: PostData) -> Parameters:
        data = data.judged()
        everything = np.arange(len(data.truth))
        common = self._constant(data, everything, np.zeros(data.truth.shape[1]))
        groups: dict[str, list[float]] = {}
        if self.by:
            names, group = np.unique(data.rows.groups(list(self.by), _WHERE), return_inverse=True)
            for number, name in enumerate(names.tolist()):
                rows = np.flatnonzero(group == number)
                share = len(rows) / (len(rows) + self.prior) if self.prior else 1.0
                own = self._constant(data, rows, common)
                groups[name] = (common + share * (own - common)).tolist()
        return {"all": common.tolist(), "groups": groups}

    def learnt(self, parameters: Parameters) -> Post:
        return _Corrected(self.how, tuple(self.by), parameters["all"], parameters["groups"])

    def _constant(self, data: PostData, rows: np.ndarray, start: np.ndarray) -> np.ndarray:
        """(K,) logarithms of factors, or biases: those that the metric likes best on `rows`."""
        point, targets = data.forecast.point[rows], data.truth.shape[1]
        if len(rows) == 0:
            return start
        best = start.copy()
        size = np.abs(data.truth[rows]).mean(axis=0) if self.how == "bias" else np.ones(targets)
        for target in [slice(None)] if self.how == "scale" else range(targets):

            def loss(constant: float, target: slice | int = target) -> float:
                tried = best.copy()
                tried[target] = constant
                found = data.loss(rows, _moved(self.how, point, tried))
                return found if np.isfinite(found) else np.inf

            limit = np.log1p(self.most) if self.how == "scale" else self.most * float(size[target])
            if limit == 0 or not np.isfinite(loss(0.0)):
                continue
            # Golden section needs no gradient and stays within its bounds; the metric is nearly convex here.
            found = minimize_scalar(
                loss, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-4 * limit}
            )
            if found.fun < loss(float(np.atleast_1d(start[target])[0])):
                best[target] = float(found.x)
        return best


def _moved(how: str, value: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """value (N, K) by logarithms of factors or by biases, (K,) or (N, K)."""
    moved: np.ndarray = value * np.exp(constant) if how == "scale" else value + constant
    return moved


@dataclass(frozen=True)
class _Corrected(Post):
    how: str
    by: tuple[str, ...]
    common: list[float]  # (K,) of groups that were not seen
    groups: Mapping[str, list[float]]

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        if not self.by:
            return _moved(self.how, value, np.array(self.common))
        names, group = np.unique(rows.groups(list(self.by), _WHERE), return_inverse=True)
        table = np.array([self.groups.get(name, self.common) for name in names.tolist()])
        return _moved(self.how, value, table.reshape(-1, value.shape[1])[group])
