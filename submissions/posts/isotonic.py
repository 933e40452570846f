"""isotonic: points calibrated by a rising step-wise line from prediction to truth (Zadrozny and Elkan 2002).

Where large predictions are systematically too large and small ones too small, a monotone map learnt on
out-of-fold rows puts that right and leaves the order of the predictions as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from data.errors import InputError
from submissions.posts.base import POSTS, LearningPost, Parameters, Post, PostData, PostRows, require_number

_MOST_KNOTS = 100


@POSTS.register("isotonic")
@dataclass(frozen=True)
class Isotonic(LearningPost):
    """Least squares among all rising maps, by pool adjacent violators; a line through the means of its steps.

    relative: errors count as shares of the truth, as RMSPE has it. share: how far a prediction is moved
    towards the map; 1 is all the way.
    """

    relative: bool = False
    share: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.relative, bool):
            raise InputError(f"relative is {self.relative!r}, expected true or false")
        require_number("share", self.share)
        if not 0 < self.share <= 1:
            raise InputError(f"share is {self.share:g}, expected a number above 0, at most 1")

    def fit(self, data: PostData) -> Parameters:
        data = data.judged()
        maps = []
        for target in range(data.truth.shape[1]):
            truth, point, weight = data.truth[:, target], data.forecast.point[:, target], data.weight
            known = np.isfinite(truth) & ((truth != 0) | (not self.relative))
            truth, point, weight = truth[known], point[known], weight[known].astype(np.float64)
            if self.relative:
                weight = weight / truth**2
            maps.append(_knots(point, truth, weight))
        return {"maps": maps}

    def learnt(self, parameters: Parameters) -> Post:
        return _Calibrated(self.share, parameters["maps"])


def _knots(point: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> list[list[float]]:
    """[x, y]: the means of prediction and truth in each step of the isotonic regression, joined to few."""
    if len(point) == 0:
        return [[0.0], [0.0]]
    order = np.argsort(point, kind="stable")
    # Equal predictions must have one value, so they are one row.
    x, first = np.unique(point[order], return_index=True)
    mass = np.add.reduceat(weight[order], first)
    mean = np.add.reduceat((weight * truth)[order], first) / mass
    steps = isotonic_regression(mean, weights=mass).blocks[:-1]
    sums = [np.add.reduceat(column, steps) for column in (mass, mass * x, mass * mean)]
    size = -(-len(steps) // _MOST_KNOTS)
    sums = [np.add.reduceat(column, np.arange(0, len(steps), size)) for column in sums]
    return [(sums[1] / sums[0]).tolist(), (sums[2] / sums[0]).tolist()]


@dataclass(frozen=True)
class _Calibrated(Post):
    share: float
    maps: list[list[list[float]]]  # of each target: x and y of its knots

    def apply(self, value: np.ndarray, rows: PostRows) -> np.ndarray:
        moved = value.copy()
        for target, (x, y) in enumerate(self.maps):
            given = value[:, target]
            # Beyond the knots a prediction keeps its distance from the last one.
            mapped = np.interp(given, x, y) + np.minimum(given - x[0], 0.0) + np.maximum(given - x[-1], 0.0)
            moved[:, target] = given + self.share * (mapped - given)
        return moved
