"""Scoring predictions against the truth by row id: the one place where the two meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data.competition import Competition
from data.folds import Origins
from data.metrics import (
    Metric,
    MetricTable,
    SeriesHistory,
    UndefinedScore,
    make_metric,
    metric_labels,
    reads_quantiles,
)
from data.panel import Panel
from data.predictions import POINT, check_complete


@dataclass(frozen=True)
class Asked:
    """N asked rows of one part (oof, local, test): the rows that every prediction table is aligned to.

    Sorted by (row_id, origin). `truth` is in original units, NaN where it is not known.
    """

    row_id: np.ndarray  # (N,) int64
    origin: np.ndarray  # (N,) int64
    series: np.ndarray  # (N,) int64
    step: np.ndarray  # (N,) int64, 1 for the first row of the window
    fold: np.ndarray  # (N,) int64 fold index; -1 local, -2 test
    truth: np.ndarray  # (N, K) float64
    weight: np.ndarray  # (N,) float32; 0 where not judged or the truth is not known

    def take(self, rows: np.ndarray) -> Asked:
        """The rows `rows` (index or bool mask)."""
        return Asked(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.row_id)


def asked_of(
    panel: Panel,
    parts: Sequence[tuple[int, Origins]],
    horizon: int,
    solution: pd.DataFrame | None = None,
) -> Asked:
    """The asked rows of (fold index, origins) pairs.

    horizon: rows asked from an origin on at most. solution: truth of test rows (row_id, one column a target,
    weight), for the local score of competitions whose test truth is known.
    """
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in ("row_id", "origin", "series", "fold")}
    for index, origins in parts:
        last = np.minimum(origins.row + horizon, panel.offsets[origins.series + 1])
        count = np.maximum(last - origins.row, 0)
        number = np.repeat(np.arange(len(count)), count)
        row = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count) + origins.row[number]
        keep = panel.present[row]
        pieces["row_id"].append(row[keep])
        pieces["origin"].append(origins.row[number][keep])
        pieces["series"].append(origins.series[number][keep])
        pieces["fold"].append(np.full(int(keep.sum()), index, dtype=np.int64))
    joined = {name: np.concatenate(arrays) for name, arrays in pieces.items()}
    order = np.lexsort((joined["origin"], joined["row_id"]))
    joined = {name: array[order] for name, array in joined.items()}
    row_id = joined["row_id"]
    truth = panel.target[row_id].astype(np.float64)
    weight = panel.weight[row_id].astype(np.float32)
    if solution is not None:
        known = solution.set_index("row_id").reindex(row_id)
        test = panel.test[row_id]
        truth = np.where(test[:, None], known[list(panel.target_name)].to_numpy(dtype=np.float64), truth)
        weight = np.where(test, known["weight"].to_numpy(dtype=np.float32), weight)
    weight = np.where(np.isfinite(truth).all(1), weight, 0.0).astype(np.float32)
    return Asked(step=row_id - joined["origin"] + 1, truth=truth, weight=weight, **joined)


def align(table: pd.DataFrame, asked: Asked, who: str, quantile: float = POINT) -> np.ndarray:
    """(N, K) predictions in the order of `asked`. Raises IncompletePredictions, naming `who` and the row."""
    point = table["quantile"].to_numpy() == np.float32(quantile)
    part = table if point.all() else table.loc[point]
    shape = asked.truth.shape
    if len(part) == shape[0] * shape[1]:  # as our own files are sorted: nothing to look up
        key = [part[name].to_numpy().reshape(shape) for name in ("row_id", "origin", "target")]
        value = part["value"].to_numpy(dtype=np.float64).reshape(shape)
        expected = (asked.row_id[:, None], asked.origin[:, None], np.arange(shape[1]))
        if np.isfinite(value).all() and all((a == b).all() for a, b in zip(key, expected, strict=True)):
            return value.copy()
    check_complete(part, asked.row_id, asked.origin, who, shape[1])
    out = np.empty((len(asked), asked.truth.shape[1]))
    for target in range(out.shape[1]):
        chosen = part.loc[part["target"] == target].sort_values(["row_id", "origin"])
        out[:, target] = chosen["value"].to_numpy()
    return out


class Scorer:
    """The competition's metrics over asked rows; keeps what they need of the history.

    `metrics` are those of points, the deciding one first; `quantile_metrics` those of quantiles.
    """

    def __init__(self, competition: Competition, panel: Panel) -> None:
        season = next(iter(competition.seasonality), 1)
        history = competition.task == "horizon"
        self._history = SeriesHistory(panel.offsets, panel.target, season) if history else None
        given = [(metric.name, metric.settings) for metric in competition.metric]
        made = [(label, make_metric(*one)) for label, one in zip(metric_labels(given), given, strict=True)]
        self.metrics: list[tuple[str, Metric]] = [one for one in made if not reads_quantiles(one[1])]
        self.quantile_metrics: list[tuple[str, Metric]] = [one for one in made if reads_quantiles(one[1])]

    @property
    def name(self) -> str:
        """Name of the metric that decides."""
        return self.metrics[0][0]

    @property
    def metric(self) -> Metric:
        """The metric that decides."""
        return self.metrics[0][1]

    def table(self, asked: Asked, value: np.ndarray) -> MetricTable:
        """Rows of truth and prediction, for `Metric.score` and `Metric.score_by`."""
        return MetricTable.of(
            asked.truth,
            value,
            weight=asked.weight,
            series=asked.series,
            step=asked.step,
            origin=asked.origin,
            history=self._history,
        )

    def score(self, asked: Asked, value: np.ndarray) -> float:
        """The deciding metric of predictions (N, K); NaN where it is not defined on these rows."""
        return _defined(self.metric, self.table(asked, value))

    def scores(self, asked: Asked, value: np.ndarray) -> dict[str, float]:
        """All metrics by name, the deciding one first."""
        table = self.table(asked, value)
        return {name: _defined(metric, table) for name, metric in self.metrics}

    def quantile_scores(
        self, asked: Asked, point: np.ndarray, levels: Sequence[float], value: np.ndarray
    ) -> dict[str, float]:
        """The metrics of quantiles by name. point: (N, K), value: (N, K, Q) at the levels (Q,)."""
        table = replace(
            self.table(asked, point), quantiles=np.asarray(levels, np.float64), quantile_prediction=value
        )
        return {name: _defined(metric, table) for name, metric in self.quantile_metrics}

    def better(self, first: float, second: float) -> bool:
        """Whether a score is better than another one."""
        return first > second if self.metric.greater_is_better else first < second


def _defined(metric: Metric, table: MetricTable) -> float:
    try:
        return metric.score(table)
    except UndefinedScore:
        return float("nan")
