"""Weights of at least 0 that sum to 1, chosen for the competition's own metric on out-of-fold rows.

A convex combination cannot leave the range of its members, and its weights can be read (Breiman 1996,
"Stacked Regressions", which constrains them for the same reason).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize, nnls

from models.blenders.base import BLENDERS, BlendData, WeightedBlender
from models.blenders.sample import sample_forecasts
from models.blenders.spaces import divisors

Loss = Callable[[np.ndarray], float]

_MOST_ROWS = 200_000  # fitted on; weights of a few members need no more
_EVALUATIONS = 1_500  # of the metric in the search by exchange
_STEPS = (0.2, 0.08, 0.03, 0.01, 0.004, 0.001)  # weight that is moved from one member to another
_LEAST_GAIN = 1e-7  # of the loss, relative; below it nothing is moved
_NEGLIGIBLE = 0.01  # a weight below it is dropped where that costs no more than the next line
_PRICE = 1e-5  # of the loss, relative


@BLENDERS.register("convex")
class Convex(WeightedBlender):
    """Least squares in several spaces give starts; the metric itself chooses among them and refines the best.

    The refinement is SLSQP with finite differences, then exchanges of weight between pairs of members, which
    need no gradient: metrics such as MAE or sMAPE have kinks. The result is never worse, on the rows fitted
    on, than the plain mean or the best member.
    """

    complexity: ClassVar[int] = 4

    def _fit(self, data: BlendData) -> None:
        self.weight = convex_weights(data, _MOST_ROWS, _EVALUATIONS)


def convex_weights(data: BlendData, most_rows: int, evaluations: int) -> np.ndarray:
    """(M,) weights of judged rows, fitted on `most_rows` of them at most.

    evaluations: of the metric in the search by exchange.
    """
    data = sample_forecasts(data, most_rows)
    return _search(data, evaluations)


def _search(data: BlendData, evaluations: int) -> np.ndarray:
    """(M,) weights."""
    flat = np.ascontiguousarray(data.value.transpose(1, 0, 2).reshape(data.members, -1))
    shape = data.truth.shape

    def loss(weight: np.ndarray) -> float:
        return data.loss((weight @ flat).reshape(shape))

    starts = list(_starts(data))
    losses = [loss(start) for start in starts]
    weight, best = starts[int(np.argmin(losses))], min(losses)
    if not np.isfinite(best):
        return starts[0]
    for refine in (_smooth, partial(_exchange, left=evaluations), _dropped):
        found, value = refine(loss, weight, best)
        if value <= best + _PRICE * abs(best) if refine is _dropped else value < best:
            weight, best = found, value
    return weight


def _starts(data: BlendData) -> Iterator[np.ndarray]:
    """The plain mean, each member alone, and least squares on the simplex in spaces that metrics live in."""
    count = data.members
    yield np.full(count, 1.0 / count)
    yield from np.eye(count)
    truth, value = data.truth, data.value
    error = value - truth[:, None]
    for divisor in divisors(data):
        known = divisor > 0
        scaled = np.divide(error, divisor[:, None], out=np.zeros_like(error), where=known[:, None])
        yield _least_squares(scaled, data.weight)
    if (truth >= 0).all():  # RMSLE
        yield _least_squares(np.log1p(np.maximum(value, 0.0)) - np.log1p(truth)[:, None], data.weight)


def _least_squares(error: np.ndarray, row_weight: np.ndarray) -> np.ndarray:
    """argmin over the simplex of sum_n weight_n (sum_m w_m error_nm)^2, by non-negative least squares.

    A further row asks for sum(w) = 1. How strongly it asks does not change the direction of the solution,
    which is then scaled to sum 1.
    """
    count = error.shape[1]
    matrix = (error * np.sqrt(row_weight)[:, None, None]).transpose(0, 2, 1).reshape(-1, count)
    triangle = np.linalg.qr(matrix, mode="r")
    force = max(float(np.abs(triangle).max()), 1e-300)
    weight, _ = nnls(np.vstack([triangle, np.full(count, force)]), np.append(np.zeros(len(triangle)), force))
    total = weight.sum()
    return weight / total if total > 0 else np.full(count, 1.0 / count)


def _smooth(loss: Loss, start: np.ndarray, best: float) -> tuple[np.ndarray, float]:
    """SLSQP on the simplex; the loss is divided by its size so that tolerances mean the same everywhere."""
    size = abs(best) or 1.0
    ceiling = 1e6  # where the metric is not defined

    found = minimize(
        lambda weight: min(loss(weight) / size, ceiling),
        start,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints={"type": "eq", "fun": lambda weight: weight.sum() - 1.0},
        options={"maxiter": 50, "eps": 1e-4, "ftol": 1e-8},
    )
    if not np.isfinite(found.x).all():
        return start, best
    weight = np.maximum(found.x, 0.0)
    if weight.sum() <= 0:
        return start, best
    weight = weight / weight.sum()
    return weight, loss(weight)


def _exchange(loss: Loss, start: np.ndarray, best: float, left: int) -> tuple[np.ndarray, float]:
    """Move weight from one member to another as long as the loss falls, in ever smaller steps."""
    weight = start.copy()
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for giver in range(len(weight)):
                for taker in range(len(weight)):
                    amount = min(step, weight[giver])
                    if giver == taker or amount <= 0:
                        continue
                    if left == 0:
                        return weight, best
                    left -= 1
                    moved = weight.copy()
                    moved[giver] -= amount
                    moved[taker] += amount
                    value = loss(moved)
                    if value < best - _LEAST_GAIN * abs(best):
                        weight, best, improved = moved, value, True
    return weight, best


def _dropped(loss: Loss, start: np.ndarray, best: float) -> tuple[np.ndarray, float]:
    """Without the members whose weight is too small to mean anything."""
    weight = np.where(start < _NEGLIGIBLE, 0.0, start)
    weight /= weight.sum()
    return weight, loss(weight)
