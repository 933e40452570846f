"""Stacking by ridge regression, drawn towards the plain mean (Wolpert 1992; Breiman 1996)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, WeightedBlender, weighted
from models.blenders.sample import sample_forecasts
from models.blenders.spaces import divisors, series_parts

_MOST_ROWS = 200_000
_PARTS = 5  # of the series, for the choice of the penalty
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # times the mean of the diagonal


@BLENDERS.register("ridge")
class Ridge(WeightedBlender):
    """Weights that sum to 1 and may be negative: two members with a common error cancel it.

    With x the members, m their mean, y the truth and u the unit of errors (see spaces):

        min over v of  sum_n ((y - m - (x - m) v) / u)^2 + penalty |v|^2,    w = 1 / M + v - mean(v)

    so that no penalty is least squares with weights of sum 1, and a large one is the mean. Unit and penalty
    are those that the metric likes best in a cross-validation over series.
    """

    complexity: ClassVar[int] = 6
    between: ClassVar[bool] = False
    of_quantiles: ClassVar[bool] = False

    def _fit(self, data: BlendData) -> None:
        data = sample_forecasts(data, _MOST_ROWS)
        self.weight = np.full(data.members, 1.0 / data.members)
        part = series_parts(data, _PARTS)
        parts = [part == number for number in range(_PARTS)]
        if min((rows.sum() for rows in parts), default=0) < data.members:
            return
        held_out = [data.take(rows) for rows in parts]
        best, chosen = np.mean([one.loss(one.value.mean(axis=1)) for one in held_out]), None
        for divisor in divisors(data):
            sums = [_sums(one, divisor[rows]) for one, rows in zip(held_out, parts, strict=True)]
            gram, right = (np.sum([one[which] for one in sums], axis=0) for which in (0, 1))
            for penalty in _PENALTIES:
                losses = [
                    one.loss(weighted(one.value, _solve(gram - own[0], right - own[1], penalty)))
                    for one, own in zip(held_out, sums, strict=True)
                ]
                if np.mean(losses) < best:
                    best, chosen = np.mean(losses), _solve(gram, right, penalty)
        if chosen is not None:
            self.weight = chosen


def _sums(data: BlendData, divisor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X' W X (M, M) and X' W y (M,) of the members' deviations from their mean, in units of `divisor`."""
    mean = data.value.mean(axis=1, keepdims=True)
    known = (divisor > 0) & np.isfinite(data.truth)
    unit = np.where(known, divisor, 1.0)
    root = np.where(known, np.sqrt(data.weight)[:, None], 0.0) / unit
    deviation = ((data.value - mean) * root[:, None]).transpose(0, 2, 1).reshape(-1, data.members)
    rest = np.where(known, data.truth - mean[:, 0], 0.0) * root
    return deviation.T @ deviation, deviation.T @ rest.ravel()


def _solve(gram: np.ndarray, right: np.ndarray, penalty: float) -> np.ndarray:
    """(M,) weights of sum 1."""
    members = len(right)
    size = np.trace(gram) / members
    if not size > 0:
        return np.full(members, 1.0 / members)
    moved = np.linalg.solve(gram + penalty * size * np.eye(members), right)
    weight: np.ndarray = 1.0 / members + moved - moved.mean()
    return weight
