"""theta: statsforecast's theta method and its optimised and dynamic forms (Fiorucci et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from data.errors import unknown
from models.members.base import MEMBERS
from models.members.statistical import LocalConfig, StatisticalMember

VARIANTS = ("auto", "STM", "OTM", "DSTM", "DOTM")
DECOMPOSITIONS = ("multiplicative", "additive")


@MEMBERS.register("theta")
class Theta(StatisticalMember):
    """A trend line and a line of doubled curvature, forecast by themselves and averaged.

    (Assimakopoulos & Nikolopoulos 2000.) The season is taken out before by classical decomposition where a
    test finds one.
    """

    @dataclass(frozen=True)
    class Config(LocalConfig):
        """Settings."""

        variant: str = "STM"  # standard, optimised, their dynamic forms: STM, OTM, DSTM, DOTM; auto: best fit
        decomposition: str = "multiplicative"  # of the season, or additive

    kind: ClassVar[str] = "theta"
    cost: ClassVar[int] = 2
    config: Config

    def check(self) -> None:
        super().check()
        for name, choices in (("variant", VARIANTS), ("decomposition", DECOMPOSITIONS)):
            if getattr(self.config, name) not in choices:
                raise unknown(name, getattr(self.config, name), choices, f"theta.{name}")

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
