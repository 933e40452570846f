"""arima: statsforecast's AutoARIMA, orders by stepwise search (Hyndman & Khandakar 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from data.competition import Competition
from data.errors import InputError
from models.members.base import MEMBERS
from models.members.statistical import LocalConfig, StatisticalMember


@MEMBERS.register("arima")
class ARIMA(StatisticalMember):
    """Seasonal ARIMA, (p, d, q)(P, D, Q)[period], with the backshift operator B, B y[t] = y[t-1]:

        phi(B) Phi(B^period) (1 - B)^d (1 - B^period)^D y[t] = c + theta(B) Theta(B^period) e[t]

    phi, theta, Phi, Theta are polynomials of degree p, q, P, Q. Orders by least AICc on a stepwise search
    (Hyndman & Khandakar 2008, section 3.2); d by KPSS tests, D by the strength of the season.

    The state of a seasonal model has as many entries as its longest lag, so the time of one likelihood
    grows with the period, cubed at the beginning, and with the rows: hence `rows`.
    """

    @dataclass(frozen=True)
    class Config(LocalConfig):
        """Settings."""

        rows: int | None = 240  # newest rows of a history that are looked at; null: all
        max_p: int = 3  # autoregressive terms
        max_q: int = 3  # moving-average terms
        max_P: int = 1
        max_Q: int = 1
        seasonal: bool = True
        stepwise: bool = True  # false: every order
        approximation: bool = True  # orders by conditional sums of squares; the chosen one by likelihood

    kind: ClassVar[str] = "arima"
    cost: ClassVar[int] = 8
    config: Config

    def check(self, competition: Competition, place: str) -> None:
        super().check(competition, place)
        for name in ("max_p", "max_q", "max_P", "max_Q"):
            found = getattr(self.config, name)
            if found < 0:
                raise InputError(f"{place}.{name}: found {found}, expected 0 or more terms")

    def model(self, period: int) -> Any:
        from statsforecast.models import AutoARIMA

        config = self.config
        return AutoARIMA(
            season_length=period,
            max_p=config.max_p,
            max_q=config.max_q,
            max_P=config.max_P,
            max_Q=config.max_Q,
            start_p=min(2, config.max_p),
            start_q=min(2, config.max_q),
            start_P=min(1, config.max_P),
            start_Q=min(1, config.max_Q),
            seasonal=config.seasonal and period > 1,
            stepwise=config.stepwise,
            approximation=config.approximation,
        )

    @classmethod
    def small(cls) -> Config:
        return cls.Config(max_p=1, max_q=0, seasonal=False)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "rows": trial.suggest_categorical("rows", [120, 240, 480]),
            "max_p": trial.suggest_int("max_p", 1, 5),
            "max_q": trial.suggest_int("max_q", 1, 5),
        }
