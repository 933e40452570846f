"""theta: statsforecast's theta method and its optimised and dynamic forms (Fiorucci et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from data.competition import Competition
from data.errors import unknown
from models.members.base import MEMBERS
from models.members.statistical import LocalConfig, StatisticalMember

VARIANTS = ("auto", "STM", "OTM", "DSTM", "DOTM")
DECOMPOSITIONS = ("multiplicative", "additive")


@MEMBERS.register("theta")
class Theta(StatisticalMember):
    """A trend line and a line of changed curvature, forecast by themselves and averaged.

    A theta line bends theta times as much as the series (Assimakopoulos & Nikolopoulos 2000); a + b t is the
    series' linear trend (Fiorucci, Pellegrini, Louzada & Petropoulos 2016):

        Z_theta[t] = theta y[t] + (1 - theta) (a + b t)
        y_hat[n+h] = 1 / theta * SES(Z_theta)[n+h] + (1 - 1 / theta) * (a + b (n + h))

    SES is simple exponential smoothing. STM has theta 2, OTM finds it; DSTM and DOTM renew a and b with every
    row. The season is taken out before, by classical decomposition, where the autocorrelation at the period
    is significant (at 10 %), and put back; a multiplicative one is additive instead where values are not
    positive.
    """

    @dataclass(frozen=True)
    class Config(LocalConfig):
        """Settings."""

        variant: str = "STM"  # standard, optimised, their dynamic forms: STM, OTM, DSTM, DOTM; auto: best fit
        decomposition: str = "multiplicative"  # of the season, or additive

    kind: ClassVar[str] = "theta"
    cost: ClassVar[int] = 2
    config: Config

    def check(self, competition: Competition, place: str) -> None:
        super().check(competition, place)
        for name, choices in (("variant", VARIANTS), ("decomposition", DECOMPOSITIONS)):
            if getattr(self.config, name) not in choices:
                raise unknown(name, getattr(self.config, name), choices, f"{place}.{name}")

    def model(self, period: int) -> Any:
        from statsforecast.models import AutoTheta

        variant = None if self.config.variant == "auto" else self.config.variant
        return AutoTheta(season_length=period, decomposition_type=self.config.decomposition, model=variant)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "variant": trial.suggest_categorical("variant", list(VARIANTS)),
            "decomposition": trial.suggest_categorical("decomposition", list(DECOMPOSITIONS)),
        }
