"""What a metric is, the registry of metrics, and the one way to make one from its name and settings."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from data.errors import InputError, unknown
from data.metrics.table import MetricTable
from data.registry import Registry

METRICS: Registry[type[Metric]] = Registry("metric", "data.metrics")

#: Training losses a metric may point to; l1 and l2 are meant on scaled targets.
LOSS_HINTS = ("l1", "l2", "rmsle", "rmspe", "mape", "smape", "pinball")

#: What a column of `Metric.columns` is called when it is missing from a table.
_MISSING = {
    "history": "the past of each series, which this task or table does not give",
    "quantile_prediction": "quantile predictions; set quantiles, or choose a metric of point predictions",
}


class UndefinedScore(InputError):
    """The metric has no value on these rows (no row judged, every truth 0, every series constant, ...)."""


class Metric(ABC):
    """One number for a table. Subclasses are frozen dataclasses: their fields are the metric's settings.

    With K targets the score is the plain mean of the targets' scores, unless a subclass says otherwise.
    """

    name: ClassVar[str]  # as registered
    greater_is_better: ClassVar[bool] = False
    loss_hint: ClassVar[str]  # the training loss that suits it, one of LOSS_HINTS
    scale_free: ClassVar[bool] = False  # multiplying truth, prediction and history by c > 0 changes nothing
    columns: ClassVar[tuple[str, ...]] = ()  # what it reads besides truth, prediction and weight

    @abstractmethod
    def compute(self, table: MetricTable) -> float:
        """The score of a table whose rows all have weight above 0 and finite values; at least one row."""

    def score(self, table: MetricTable) -> float:
        """The score over the rows of weight above 0.

        Raises UndefinedScore where it has no value, InputError where the table lacks what the metric
        needs, and ValueError for a judged row that is not finite.
        """
        return self._score_judged(table.judged())

    def score_by(self, table: MetricTable, by: ArrayLike) -> dict[Any, float]:
        """The score of each group of rows, for reports; `by` holds (N,) labels: steps, stores, types.

        Groups come sorted; NaN where the metric has no value on a group that has judged rows, and
        groups without any are left out.
        """
        labels = np.asarray(by)
        assert labels.shape == (len(table.truth),), (
            f"by has shape {labels.shape}, the table {len(table.truth)} rows"
        )
        labels = labels[table.weight > 0]
        rows = table.judged()
        group, code = np.unique(labels, return_inverse=True)
        order = np.argsort(code, kind="stable")
        ends = np.cumsum(np.bincount(code, minlength=len(group)))
        scores: dict[Any, float] = {}
        for label, part in zip(group.tolist(), np.split(order, ends[:-1]) if len(group) else [], strict=True):
            try:
                scores[label] = self._score_judged(rows.take(part))
            except UndefinedScore:
                scores[label] = float("nan")
        return scores

    def _score_judged(self, rows: MetricTable) -> float:
        for column in self.columns:
            if getattr(rows, column) is None:
                raise InputError(f"metric {self.name!r} needs {_MISSING[column]}")
        if len(rows.truth) == 0:
            raise UndefinedScore(
                f"metric {self.name!r}: no row has a weight above 0, so there is nothing to score"
            )
        return float(self.compute(rows))


def reads_quantiles(metric: Metric) -> bool:
    """Whether it scores quantiles instead of points."""
    return "quantile_prediction" in metric.columns


def make_metric(name: str, settings: Mapping[str, Any] | None = None) -> Metric:
    """The metric called `name`, in any case, with its settings; `python:FILE.py:FUNCTION` is the user's own.

    Raises InputError for an unknown name or setting (with the nearest ones) or a bad value.
    """
    given = dict(settings or {})
    if name.partition(":")[0].strip().lower() == "python" and ":" in name:
        name, _, function = name.partition(":")
        given["function"] = function.strip()
    kind = METRICS.get(name.strip().lower(), "metric")
    assert dataclasses.is_dataclass(kind), f"{kind.__qualname__} must be a dataclass"
    fields = {field.name: field for field in dataclasses.fields(kind)}
    where = f"metric {name.strip().lower()!r}"
    for key in given:
        if key not in fields:
            raise unknown("setting", str(key), fields, where)
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and key not in given:
            raise InputError(f"{where} needs the setting {key!r}")
    return kind(**given)


def require_count(metric: Metric, setting: str, value: Any, least: int = 1) -> None:
    """InputError unless a setting is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(
            f"metric {metric.name!r}: {setting} is {value!r}, expected a whole number from {least} on"
        )


def require_choice(metric: Metric, setting: str, value: Any, choices: tuple[str, ...]) -> None:
    """InputError unless a setting is one of `choices`."""
    if value not in choices:
        raise unknown(setting, str(value), choices, f"metric {metric.name!r}")


def metric_labels(metrics: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What scores stand under: the name; of a second one of that name, `mase(seasonality=7)`.

    metrics: (name, settings) of each. Raises InputError for one that stands twice with the same settings.
    """
    labels: list[str] = []
    for name, settings in metrics:
        words = ", ".join(f"{key}={value}" for key, value in settings.items())
        label = f"{name}({words})" if name in labels and words else name
        if label in labels:
            raise InputError(f"competition.metric: {label} stands twice")
        labels.append(label)
    return labels
