"""mstl: statsforecast's MSTL, several seasons and a trend by loess (Bandara et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from models.members.base import MEMBERS
from models.members.statistical import LocalConfig, StatisticalMember


def _ets() -> Any:
    from statsforecast.models import AutoETS

    return AutoETS(model="ZZN")


def _arima() -> Any:
    from statsforecast.models import AutoARIMA

    return AutoARIMA(seasonal=False, approximation=True)


def _theta() -> Any:
    from statsforecast.models import AutoTheta

    return AutoTheta(season_length=1)


def _naive() -> Any:
    from statsforecast.models import Naive

    return Naive()


#: What forecasts the series without its seasons.
TRENDS: dict[str, Callable[[], Any]] = {"ets": _ets, "arima": _arima, "theta": _theta, "naive": _naive}


@MEMBERS.register("mstl")
class MSTL(StatisticalMember):
    """Trend, one season for each period, and the rest, found by turns of STL (loess).

        y[t] = T[t] + S_1[t] + ... + S_n[t] + R[t]
        y_hat[o+h] = forecast of (T + R)[o+h] + sum over i of S_i[o + h - m_i * (floor(h / m_i) + 1)]

    (Bandara, Hyndman & Bergmeir 2021; o is the origin, h = 0 the first row of the horizon.) Each season
    repeats its last one, m_i rows long; quantiles are those of the forecaster of T + R.
    """

    @dataclass(frozen=True)
    class Config(LocalConfig):
        """Settings."""

        periods: list[int] | None = None  # null: `period` if it is set, else all of the competition's
        trend: str = "ets"  # forecaster of what is left without the seasons: ets, arima, theta, naive

    kind: ClassVar[str] = "mstl"
    cost: ClassVar[int] = 5
    config: Config

    def check(self, competition: Competition, place: str) -> None:
        super().check(competition, place)
        if self.config.trend not in TRENDS:
            raise unknown("trend forecaster", self.config.trend, TRENDS, f"{place}.trend")
        for period in self.config.periods or ():
            if period < 2:
                raise InputError(f"{place}.periods: found {period}, expected at least 2 rows")

    def model(self, period: int) -> Any:
        return self.model_of((period,))

    def model_of(self, periods: tuple[int, ...]) -> Any:
        """The decomposition into these seasons; without any, the forecaster of trends alone."""
        from statsforecast.models import MSTL as Decomposition

        trend = TRENDS[self.config.trend]()
        return Decomposition(season_length=list(periods), trend_forecaster=trend) if periods else trend

    def model_for(self, recent: np.ndarray, period: int, seasonality: tuple[int, ...]) -> Any:
        """Seasons of which the history holds fewer than two are left out."""
        wanted = self.config.periods or ([self.config.period] if self.config.period else seasonality)
        return self.model_of(tuple(one for one in sorted(set(wanted)) if one > 1 and 2 * one < len(recent)))

    @classmethod
    def small(cls) -> Config:
        return cls.Config(trend="naive")

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {"trend": trial.suggest_categorical("trend", ["ets", "theta", "naive"])}
