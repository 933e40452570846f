"""Settings of lightgbm and xgboost, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass

from data.competition import Competition
from data.errors import InputError, unknown
from data.scaling import SCALINGS

#: Training losses by the name that metrics hint at; those without a counterpart learn the median.
OBJECTIVES = {
    "l1": "l1",
    "l2": "l2",
    "rmspe": "l2",
    "rmsle": "l2",
    "smape": "l1",
    "mape": "mape",
    "pinball": "l1",
}
#: What a booster of a quantile learns, by both libraries' settings.
QUANTILE = "quantile"
#: Objectives with a log link: they learn the mean of what is 0 or more, in original units.
LOG_LINK = ("poisson", "tweedie")
STRATEGIES = ("direct", "recursive")
LONGEST_TAIL = 48  # of what `tail: null` means


@dataclass(frozen=True)
class BoostingConfig:
    """Settings that all boosted trees share."""

    rounds: int = 400
    learning_rate: float = 0.05
    leaves: int = 63
    feature_fraction: float = 0.7  # of the columns that a tree sees
    bagging_fraction: float = 0.8  # of the rows that a tree sees
    l2: float = 1.0
    objective: str = "auto"  # what the metric hints at; or l1, l2, mape, poisson, tweedie, the library's
    tweedie_power: float = 1.5  # variance = mean ** power, for objective=tweedie; above 1 and below 2
    strategy: str = "direct"  # one model for all steps; recursive: of one step, on its own forecasts
    rows: int = 400_000  # training rows at most; origins are thinned to meet it
    # newest target values as columns; null: none for direct, for recursive a season, at most 48
    tail: int | None = None
    seasons: int = 4  # seasons back for the mean of the row's phase; 0: no seasonal columns
    scaling: str = "auto"  # of the target, as windows.scaling; auto with poisson and tweedie: none


def check_settings(config: BoostingConfig, competition: Competition, place: str) -> None:
    """InputError for settings that do not go together, or not with the competition.

    place: what stands before a setting's name, as member.lightgbm.
    """
    if config.strategy not in STRATEGIES:
        raise unknown("strategy", config.strategy, STRATEGIES, f"{place}.strategy")
    if config.strategy == "recursive" and competition.task == "sequence":
        raise InputError(f"{place}.strategy: a sequence task has no past targets; expected direct")
    if config.scaling not in ("auto", *SCALINGS):
        raise unknown("scaling", config.scaling, ("auto", *SCALINGS), f"{place}.scaling")
    if config.objective not in LOG_LINK:
        return
    if competition.target_transform != "none":
        raise InputError(
            f"{place}.objective: {config.objective!r} learns the target in original units, and"
            f" competition.target_transform is {competition.target_transform!r}; expected none"
        )
    if config.scaling not in ("auto", "none"):
        raise InputError(
            f"{place}.scaling: found {config.scaling!r}, expected none (or auto) with"
            f" objective {config.objective!r}, which learns the target in original units"
        )
    if not 1 < config.tweedie_power < 2:
        raise InputError(
            f"{place}.tweedie_power: found {config.tweedie_power:g}, expected above 1 and below 2"
        )
