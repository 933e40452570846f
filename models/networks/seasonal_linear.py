"""seasonal_linear: one small linear map from season to season, the same for all phases (Lin et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.layers.direct_forecast import DirectConfig, DirectForecast, by_target
from models.network import NETWORKS


@NETWORKS.register("seasonal_linear")
class SeasonalLinear(DirectForecast):
    """SparseTSF: "Modeling Long-term Time Series Forecasting with 1k Parameters", ICML 2024 (arXiv
    2405.00946), section 3.2.

    x is taken less the mean of its window; every row gets a weighted sum of the rows around it, x + conv(x)
    with 2 floor(w / 2) + 1 weights; then each of the w phases of the season is a series of its own, of
    n = floor(C / w) values, and one matrix for all of them maps n past seasons to the ceil(H / w) next ones;
    the mean is added again.

    Few weights can be told much by many seasons, so contexts may be long (the paper: 720 rows). Seasons are
    counted back from the origin; rows beyond n seasons, rows that a short history lacks, and rows that are
    missing or not judged stand at the mean of the others. A head's outputs that are no values (a deviation,
    logits) do not get it back.
    """

    @dataclass(frozen=True)
    class Config(DirectConfig):
        """Settings with their defaults."""

        period: int | None = None  # rows of a season; null: the competition's first, 1 if it has none

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        period = config.period or next(iter(schema.seasonality), 1)
        if period < 1:
            raise InputError(f"period: {period}; expected at least 1 row")
        self.period = min(period, schema.context)
        self.seasons = schema.context // self.period
        self.ahead = -(-schema.horizon // self.period)
        around = self.period // 2
        self.smooth = nn.Conv1d(1, 1, 2 * around + 1, padding=around, bias=False)
        self.map = nn.Linear(self.seasons, self.ahead * outputs, bias=False)
        # Training starts from the mean of each phase (the paper's at random): few steps are enough.
        nn.init.zeros_(self.smooth.weight)
        nn.init.constant_(self.map.weight, 1 / self.seasons)

    def direct(self, past: Tensor, there: Tensor, counted: Tensor, batch: SequenceBatch) -> Tensor:
        shown = counted[:, :, None]
        mean = past.masked_fill(~shown, 0.0).sum(1, keepdim=True) / shown.sum(1, keepdim=True).clamp(min=1)
        centred = (past - mean).masked_fill(~shown, 0.0).transpose(1, 2)  # (B, K, C)
        flat = centred.flatten(0, 1)[:, None]  # (B * K, 1, C)
        smooth = (flat + self.smooth(flat)).unflatten(0, centred.shape[:2]).squeeze(2)
        phases = smooth[:, :, -self.seasons * self.period :].unflatten(-1, (self.seasons, self.period))
        mapped = self.map(phases.transpose(2, 3))  # (B, K, period, ahead * P)
        steps = mapped.unflatten(-1, (self.ahead, self.outputs)).transpose(2, 3)  # (B, K, ahead, period, P)
        steps = steps.flatten(2, 3)[:, :, : self.schema.horizon].flatten(2)  # (B, K, H * P)
        level = mean.expand(-1, self.schema.horizon, -1)
        return self.add_level(by_target(steps, self.schema.horizon), level)

    @classmethod
    def small(cls) -> Any:
        return cls.Config(static_width=8, period=3)

    @classmethod
    def variants(cls) -> list[Any]:
        # The second has a season that is longer than the context.
        return [cls.small(), cls.Config(static_width=8, period=1000)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {**super().search(trial), "period": trial.suggest_categorical("period", [None, 7, 24, 168])}
