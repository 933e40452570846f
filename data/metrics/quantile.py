"""Metrics of quantile predictions: pinball loss and the weighted quantile loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.metrics import mean_pinball_loss

from data.errors import InputError
from data.metrics.base import METRICS, Metric, UndefinedScore
from data.metrics.table import Floats, MetricTable


def pinball_by_quantile(metric: Metric, table: MetricTable, chosen: tuple[float, ...] | None) -> Floats:
    """(q, K) mean of max(a (y - f), (a - 1)(y - f)) for each chosen quantile a (all of the table's if None).

    Raises InputError for a quantile that was not predicted.
    """
    assert table.quantile_prediction is not None
    losses = []
    for quantile in table.quantiles.tolist() if chosen is None else chosen:
        found = np.flatnonzero(np.isclose(table.quantiles, quantile, rtol=0, atol=1e-9))
        if len(found) == 0:
            have = ", ".join(f"{value:g}" for value in table.quantiles)
            raise InputError(
                f"metric {metric.name!r}: quantile {quantile:g} was not predicted; there are: {have}"
            )
        prediction = table.quantile_prediction[:, :, found[0]]
        losses.append(
            mean_pinball_loss(
                table.truth, prediction, alpha=quantile, sample_weight=table.weight, multioutput="raw_values"
            )
        )
    return np.array(losses)


class QuantileMetric(Metric):
    """`quantiles`: those that are scored, in (0, 1); all that were predicted if not set."""

    quantiles: tuple[float, ...] | None
    loss_hint: ClassVar[str] = "pinball"
    columns: ClassVar[tuple[str, ...]] = ("quantile_prediction", "quantiles")

    def __post_init__(self) -> None:
        if self.quantiles is None:
            return
        try:
            chosen = tuple(
                float(quantile) for quantile in np.atleast_1d(np.asarray(self.quantiles, np.float64))
            )
        except (TypeError, ValueError) as error:
            raise InputError(
                f"metric {self.name!r}: quantiles is {self.quantiles!r}, expected numbers"
            ) from error
        if not chosen or not all(0 < quantile < 1 for quantile in chosen):
            raise InputError(f"metric {self.name!r}: quantiles is {chosen}, expected numbers between 0 and 1")
        object.__setattr__(self, "quantiles", chosen)


@METRICS.register("pinball")
@dataclass(frozen=True)
class Pinball(QuantileMetric):
    """Mean pinball (quantile) loss over rows, then over quantiles and targets."""

    quantiles: tuple[float, ...] | None = None
    name: ClassVar[str] = "pinball"

    def compute(self, table: MetricTable) -> float:
        return float(pinball_by_quantile(self, table, self.quantiles).mean())


@METRICS.register("wql")
@dataclass(frozen=True)
class WQL(QuantileMetric):
    """Weighted quantile loss, 2 sum pinball / sum |y|, then the mean over quantiles and targets.

    The form of GluonTS's mean_wQuantileLoss; at quantile 0.5 it is sum |y - f| / sum |y|. A target
    that is 0 in every row is left out.
    """

    quantiles: tuple[float, ...] | None = None
    name: ClassVar[str] = "wql"
    scale_free: ClassVar[bool] = True

    def compute(self, table: MetricTable) -> float:
        size = np.average(np.abs(table.truth), axis=0, weights=table.weight)  # (K,)
        if not size.any():
            raise UndefinedScore("metric 'wql': the truth is 0 in every judged row")
        loss = pinball_by_quantile(self, table, self.quantiles)[:, size > 0]
        return float((2 * loss / size[size > 0]).mean())
