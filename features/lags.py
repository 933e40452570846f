"""Targets and past-only columns as they were some rows ago."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import horizon_rows, past_column, past_inputs, past_values, positive
from features.within_series import shift


@FEATURES.register("lags")
@dataclass(frozen=True)
class Lags(Feature):
    """y_{t-k} in transformed units for each k of `lags`; its reach is k.

    lags: rows; []: the first two multiples of each seasonality that reach over the horizon (without
    seasonality the horizon itself). counted: leave out rows of weight 0 (closed days).
    """

    version: ClassVar[int] = 2

    inputs: tuple[str, ...] = ()  # targets and past-only reals; []: the targets
    lags: tuple[int, ...] = ()
    counted: bool = True

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.lags"
        positive(where, "lags", self.lags)
        return tuple(
            past_column(past, "", lag)
            for past in past_inputs(competition, panel, self.inputs, where)
            for lag in self._lags(competition, panel)
        )

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for past in past_inputs(competition, panel, self.inputs, "features.lags"):
            value = past_values(competition, panel, past, self.counted)
            for lag in self._lags(competition, panel):
                yield shift(value, panel.offsets, lag, np.nan)

    def _lags(self, competition: Competition, panel: Panel) -> tuple[int, ...]:
        if self.lags:
            return self.lags
        horizon = horizon_rows(competition, panel, "features.lags.lags")
        if not competition.seasonality:
            return (horizon,)
        firsts = [(-(-horizon // season) * season, season) for season in competition.seasonality]
        return tuple(sorted({lag for first, season in firsts for lag in (first, first + season)}))

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if competition.task != "horizon":
            return None
        return {"inputs": [*competition.target, *competition.columns.past_real], "lags": [1, 7]}
