"""Stacking by gradient boosting: which member to believe in which row (Wolpert 1992, with trees)."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import numpy as np

from models.blenders.base import BLENDERS, BlendData, Blender, BlendRows
from models.blenders.sample import sample_forecasts
from models.blenders.spaces import series_parts

_MOST_ROWS = 40_000
_ROUNDS = (5, 15, 40, 80)  # of boosting, chosen on held-out series
_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_child_samples": 100,
    "reg_lambda": 10.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "seed": 0,
}


@BLENDERS.register("lightgbm_stacking")
class LightgbmStacking(Blender):
    """The members' mean plus what trees make of their disagreement, the row's step, group and known columns.

    The trees are fitted to (y - mean) / u, where u is 1 or the size of the mean, by absolute or squared
    errors; which of them, and how many rounds, the metric decides on a fifth of the series. No round at all,
    the plain mean, is among the choices.
    """

    complexity: ClassVar[int] = 9
    fitted: ClassVar[bool] = True
    between: ClassVar[bool] = False
    of_quantiles: ClassVar[bool] = False

    relative: bool
    trees: list[str]  # of each target, as text; none: the plain mean

    def _fit(self, data: BlendData) -> None:
        data = sample_forecasts(data, _MOST_ROWS)
        self.relative, self.trees = False, []
        outside = series_parts(data, 5) == 0
        if min(outside.sum(), (~outside).sum()) < 2 * _SETTINGS["min_child_samples"]:
            return
        inner, judge = data.take(~outside), data.take(outside)
        best, chosen = judge.loss(judge.value.mean(axis=1)), None
        for relative, objective in product((False, True), ("l1", "l2")):
            trees = _grow(inner, relative, objective, _ROUNDS[-1])
            for rounds in _ROUNDS:
                loss = judge.loss(_stacked(judge.value, judge.rows, relative, trees, rounds))
                if loss < best:
                    best, chosen = loss, (relative, objective, rounds)
        if chosen is not None:
            self.relative, objective, rounds = chosen
            self.trees = [one.model_to_string() for one in _grow(data, self.relative, objective, rounds)]

    def _predict(self, value: np.ndarray, rows: BlendRows) -> np.ndarray:
        import lightgbm

        if not self.trees:
            mean: np.ndarray = value.mean(axis=1)
            return mean
        trees = [lightgbm.Booster(model_str=text) for text in self.trees]
        return _stacked(value, rows, self.relative, trees, None)


def _grow(data: BlendData, relative: bool, objective: str, rounds: int) -> list[Any]:
    """One booster a target."""
    import lightgbm  # slow to import: not for those who only look at names

    mean, boosters = data.value.mean(axis=1), []
    for target in range(data.truth.shape[1]):
        unit = _unit(mean[:, target], relative)
        rest = (data.truth[:, target] - mean[:, target]) / unit
        kept = np.isfinite(rest)
        features = _features(data.value[:, :, target], data.rows, unit)
        table = lightgbm.Dataset(features[kept], rest[kept], weight=data.weight[kept])
        boosters.append(lightgbm.train({**_SETTINGS, "objective": objective}, table, num_boost_round=rounds))
    return boosters


def _stacked(
    value: np.ndarray, rows: BlendRows, relative: bool, trees: list[Any], rounds: int | None
) -> np.ndarray:
    """(N, K)"""
    stacked: np.ndarray = value.mean(axis=1)
    for target, booster in enumerate(trees):
        unit = _unit(stacked[:, target], relative)
        features = _features(value[:, :, target], rows, unit)
        stacked[:, target] += unit * booster.predict(features, num_iteration=rounds, num_threads=1)
    return stacked


def _unit(mean: np.ndarray, relative: bool) -> np.ndarray:
    """(N,) above 0."""
    if not relative:
        return np.ones_like(mean)
    size = np.abs(mean)
    return np.maximum(size, 1e-6 * max(float(size.max(initial=0.0)), 1e-300))


def _features(value: np.ndarray, rows: BlendRows, unit: np.ndarray) -> np.ndarray:
    """(N, F): deviations of the members (N, M) from their mean and their spread, the mean, and the row."""
    mean = value.mean(axis=1)
    columns = [
        ((value - mean[:, None]) / unit[:, None]).T,
        [value.std(axis=1) / unit, mean, rows.step, rows.group],
    ]
    columns.append([rows.features[name] for name in sorted(rows.features)] or np.empty((0, len(mean))))
    return np.concatenate([np.asarray(one, dtype=np.float64) for one in columns]).T
