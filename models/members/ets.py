"""ets: statsforecast's AutoETS, exponential smoothing chosen by AICc (Hyndman et al. 2002)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

from data.competition import Competition
from data.errors import InputError
from models.members.base import MEMBERS
from models.members.statistical import LocalConfig, StatisticalMember

#: What Z stands for in the letters of error, trend and season.
CHOICES = ("AM", "NA", "NAM")


@MEMBERS.register("ets")
class ETS(StatisticalMember):
    """Error, trend and season, each additive or multiplicative or absent; the model of least AICc.

    With additive parts, in error-correction form (Hyndman, Koehler, Snyder & Grose 2002, table 1):

        y[t] = l[t-1] + phi b[t-1] + s[t-m] + e[t]
        l[t] = l[t-1] + phi b[t-1] + alpha e[t]    b[t] = phi b[t-1] + beta e[t]    s[t] = s[t-m] + gamma e[t]

    Multiplicative errors are relative, (1 + e[t]) times the forecast; a multiplicative season is a factor.
    ZZZ chooses among 15 models: multiplicative trends, which explode, are fitted only where M asks for them,
    and what cannot be fitted stably (an additive error with a multiplicative trend or season) is left out. A
    series with values of 0 or less has additive parts only; one for which the model in `model` is then not
    defined gets its last season. Intervals are statsforecast's, by formula where there is one, else of 5000
    paths with a fixed seed.
    """

    @dataclass(frozen=True)
    class Config(LocalConfig):
        """Settings."""

        rows: int | None = 400  # newest rows of a history that are looked at; null: all
        model: str = "ZZZ"  # error, trend, season: A additive, M multiplicative, N none, Z chosen by AICc
        damped: bool | None = None  # trend that levels off; null: chosen

    kind: ClassVar[str] = "ets"
    cost: ClassVar[int] = 6
    config: Config

    def check(self, competition: Competition, place: str) -> None:
        super().check(competition, place)
        if not re.fullmatch("[AMZ][NAMZ][NAMZ]", self.config.model):
            raise InputError(
                f"{place}.model: found {self.config.model!r}, expected three letters for error (A, M, Z),"
                " trend and season (N, A, M, Z), as ZZZ or AAN"
            )
        if not any(map(_stable, _chosen_among(self.config.model, self.config.damped))):
            damped = "" if self.config.damped is None else f" with damped {str(self.config.damped).lower()}"
            raise InputError(
                f"{place}.model: found {self.config.model!r}{damped}, which no stable model is: an additive"
                " error goes with no multiplicative part, a multiplicative trend with no additive season, and"
                " only a trend is damped; expected others, as ZZZ or MAM"
            )

    def model(self, period: int) -> Any:
        from statsforecast.models import AutoETS

        model = self.config.model if period > 1 else self.config.model[:2] + "N"
        return AutoETS(season_length=period, model=model, damped=self.config.damped)

    @classmethod
    def small(cls) -> Config:
        return cls.Config(model="AAN", damped=False)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {"model": trial.suggest_categorical("model", ["ZZZ", "AZA", "ZNZ"])}


def _chosen_among(model: str, damped: bool | None) -> Iterator[tuple[str, str, str, bool]]:
    """(error, trend, season, whether the trend is damped) of all that the three letters allow."""
    letters = [choices if letter == "Z" else letter for letter, choices in zip(model, CHOICES, strict=True)]
    yield from product(*letters, (True, False) if damped is None else (damped,))


def _stable(model: tuple[str, str, str, bool]) -> bool:
    """Whether statsforecast (and R's forecast) fits it."""
    error, trend, season, damped = model
    if error == "A" and "M" in (trend, season):
        return False
    return (error, trend, season) != ("M", "M", "A") and (trend != "N" or not damped)
