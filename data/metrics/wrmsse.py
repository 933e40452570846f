"""WRMSSE, the metric of M5: RMSSE at several levels of aggregation, weighted by what each series sells.

Makridakis, Spiliotis and Assimakopoulos (2022), "M5 accuracy competition: results, findings and conclusions".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.metrics.base import METRICS, Metric, UndefinedScore, require_count
from data.metrics.scaled import squared_scale
from data.metrics.table import Floats, Forecasts, Integers, MetricTable, SeriesHistory


@METRICS.register("wrmsse")
@dataclass(frozen=True)
class WRMSSE(Metric):
    """Mean over levels of sum_g w_g RMSSE_g, where the weights of a level's groups sum to 1.

    All series must end at the same time: aggregation lines them up at their ends. Rows of weight 0 leave
    the sums of truth and prediction alike; other row weights do not matter here, `series_weight` does.
    Several cut-offs are scored one by one and averaged. Groups without a scale (constant) are left out.
    """

    #: level -> (S,) label of each series' group, in the history's order of series; none: each series alone.
    #: M5's twelve levels: total, state, store, category, department, their crossings, item, and series.
    groups: Mapping[str, Any] = field(default_factory=dict)
    #: (S,) weight of each series, e.g. its dollar sales; none: the sum of its last `weight_rows` values.
    series_weight: Any = None
    weight_rows: int = 28
    name: ClassVar[str] = "wrmsse"
    loss_hint: ClassVar[str] = "l2"
    scale_free: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = ("history", "series", "origin", "step")

    def __post_init__(self) -> None:
        require_count(self, "weight_rows", self.weight_rows)
        if not isinstance(self.groups, Mapping):
            raise InputError(
                f"metric 'wrmsse': groups is {self.groups!r}, expected level: labels of the series"
            )
        if self.series_weight is not None:
            try:
                weight = np.asarray(self.series_weight, np.float64)
            except (TypeError, ValueError) as error:
                raise InputError("metric 'wrmsse': series_weight is not a list of numbers") from error
            if not (np.isfinite(weight).all() and (weight >= 0).all()):
                raise InputError("metric 'wrmsse': series_weight has values below 0 or not finite")

    def compute(self, table: MetricTable) -> float:
        history = table.history
        assert history is not None
        forecasts = table.forecasts()
        tail = history.offsets[forecasts.series + 1] - forecasts.origin  # rows of history from the origin on
        assert (tail >= 0).all(), "an origin lies beyond its series' history"
        weight = self._weight(history, forecasts)
        levels = self._levels(len(history.length))
        scores = []
        for cut_off in np.unique(tail):
            inside = tail == cut_off
            rows = table.take(inside[forecasts.code])
            at_cut_off = np.zeros((len(history.length), weight.shape[1]))
            at_cut_off[forecasts.series[inside]] = weight[inside]
            scores.append([_level_score(rows, code, int(cut_off), at_cut_off) for code in levels.values()])
        return float(np.mean(scores))

    def _levels(self, series: int) -> dict[str, Integers]:
        """Level -> (S,) group of each series as a code 0, 1, ..."""
        if not self.groups:
            return {"series": np.arange(series)}
        levels = {}
        for level, labels in self.groups.items():
            array: NDArray[Any] = np.asarray(labels)
            if array.shape != (series,):
                found = array.shape[0] if array.ndim == 1 else f"shape {array.shape}"
                raise InputError(
                    f"metric 'wrmsse': groups.{level} has {found} labels, expected one a series ({series})"
                )
            levels[str(level)] = np.unique(array, return_inverse=True)[1].astype(np.int64)
        return levels

    def _weight(self, history: SeriesHistory, forecasts: Forecasts) -> Floats:
        """(G, K) weight of each forecast's series as of its origin."""
        targets = history.values.shape[1]
        if self.series_weight is not None:
            given = np.asarray(self.series_weight, np.float64)
            if given.shape != history.length.shape:
                raise InputError(
                    f"metric 'wrmsse': series_weight has {given.size} values, expected one for each of "
                    f"{len(history.length)} series"
                )
            return np.repeat(given[forecasts.series][:, None], targets, axis=1)
        rows = self.weight_rows
        return history.each(
            ("sold", rows), forecasts, lambda past: np.maximum(np.nan_to_num(past[-rows:]).sum(axis=0), 0.0)
        )


def _level_score(rows: MetricTable, code: Integers, tail: int, weight: Floats) -> float:
    """The weighted RMSSE of one level at one cut-off: `code` (S,) groups, `weight` (S, K)."""
    assert rows.history is not None
    groups, targets = int(code.max()) + 1, rows.truth.shape[1]
    step, step_code = np.unique(rows.step, return_inverse=True)
    cell = code[rows.series] * len(step) + step_code
    present = np.bincount(cell, minlength=groups * len(step)).reshape(groups, len(step)) > 0
    scale = _group_scales(rows.history, code, tail)
    scores = []
    for target in range(targets):
        error = np.bincount(cell, (rows.truth - rows.prediction)[:, target], groups * len(step))
        squared = (error.reshape(groups, len(step)) ** 2).sum(axis=1)
        mean = np.divide(squared, present.sum(axis=1), out=np.full(groups, np.nan), where=present.any(axis=1))
        value = np.sqrt(mean / scale[:, target])
        group_weight = np.bincount(code, weight[:, target], groups)
        counts = np.isfinite(value) & (group_weight > 0)
        if counts.any():
            scores.append(np.average(value[counts], weights=group_weight[counts]))
    if not scores:
        raise UndefinedScore("metric 'wrmsse': no group has both a weight above 0 and a past that changes")
    return float(np.mean(scores))


def _group_scales(history: SeriesHistory, code: Integers, tail: int) -> Floats:
    """(groups, K) squared one-step scale of each group's sum, without the last `tail` rows; computed once."""

    def compute() -> Floats:
        length = history.length
        members = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
        scales = []
        for series in members:
            total = np.zeros((int(length[series].max()), history.values.shape[1]))
            for one in series.tolist():
                values = history.before(one, int(history.offsets[one + 1]))
                total[len(total) - len(values) :] += np.nan_to_num(values)
            scales.append(squared_scale(total[: max(len(total) - tail, 0)], 1, trim_leading_zeros=True))
        return np.stack(scales)

    result: Floats = history.once(("group_scales", code.tobytes(), tail), compute)
    return result
