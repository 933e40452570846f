"""ets: statsforecast's AutoETS, exponential smoothing chosen by AICc (Hyndman et al. 2002)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from data.errors import InputError
from models.members.base import MEMBERS
from models.members.statistical import LocalConfig, StatisticalMember


@MEMBERS.register("ets")
class ETS(StatisticalMember):
    """Error, trend and season, each additive or multiplicative or absent; the best of up to 30 models.

    statsforecast leaves seasons longer than 24 rows out, as R's forecast package does.
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

    def check(self) -> None:
        super().check()
        if not re.fullmatch("[AMZ][NAMZ][NAMZ]", self.config.model):
            raise InputError(
                f"ets.model: found {self.config.model!r}, expected three letters for error (A, M, Z), trend"
                " and season (N, A, M, Z), as ZZZ or AAN"
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
