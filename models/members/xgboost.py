"""XGBoost on the origin table (Chen & Guestrin 2016), direct or recursive; an optional package."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data.errors import InputError, OutOfTime
from models.members.base import MEMBERS, FitTask
from models.members.boosting import BoostingMember, TrainingData
from models.members.boosting_settings import BoostingConfig
from models.members.recursion import Booster

#: Our names of objectives, and XGBoost's; it has none for relative errors, so that the median is learnt.
NAMES = {
    "l1": "reg:absoluteerror",
    "l2": "reg:squarederror",
    "mape": "reg:absoluteerror",
    "poisson": "count:poisson",
    "quantile": "reg:quantileerror",
    "tweedie": "reg:tweedie",
}


@MEMBERS.register("xgboost")
class XGBoost(BoostingMember):
    """Trees on histograms that grow leaf by leaf, as LightGBM's do."""

    @dataclass(frozen=True)
    class Config(BoostingConfig):
        """Settings."""

        least_weight: float = 40.0  # of a leaf: sum of its rows' second derivatives, its rows for l1 and l2

    version: ClassVar[int] = 4
    kind: ClassVar[str] = "xgboost"
    file_format: ClassVar[str] = "ubj"
    cost: ClassVar[int] = 4
    needs: ClassVar[tuple[str, str] | None] = ("xgboost", "xgboost")
    config: Config

    def train(self, task: FitTask, objective: str, data: TrainingData, file: Path) -> None:
        import xgboost

        config = self.config
        settings: dict[str, Any] = {
            "objective": NAMES.get(objective, objective),
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": config.leaves,
            "learning_rate": config.learning_rate,
            "min_child_weight": config.least_weight,
            "colsample_bytree": config.feature_fraction,
            "subsample": config.bagging_fraction,
            "reg_lambda": config.l2,
            "seed": task.seed,
            "nthread": task.fit.threads,
            "verbosity": 0,
        }
        if data.level is not None:
            settings["quantile_alpha"] = data.level
        if objective == "tweedie":
            settings["tweedie_variance_power"] = config.tweedie_power
        rows = xgboost.DMatrix(
            data.feature,
            data.label,
            weight=data.weight,
            feature_names=data.name,
            feature_types=["c" if index in data.categorical else "q" for index in range(len(data.name))],
            enable_categorical=True,
            nthread=task.fit.threads,
        )

        class Watch(xgboost.callback.TrainingCallback):
            """Reports progress and gives up at the deadline."""

            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                done = epoch + 1
                if done % 20 == 0 or done == config.rounds:
                    task.progress(data.done(done / config.rounds), f"tree {done}/{config.rounds}")
                if task.deadline is not None and time.monotonic() > task.deadline:
                    raise OutOfTime(f"after {done} of {config.rounds} trees")
                return False

        try:
            booster = xgboost.train(settings, rows, config.rounds, callbacks=[Watch()])
        except xgboost.core.XGBoostError as error:  # of a setting: objective, leaves, ...
            first = next((line for line in str(error).splitlines() if line.strip()), "")
            raise InputError(f"member xgboost: XGBoost refuses its settings: {first}") from error
        booster.save_model(file)

    def load(self, file: Path, threads: int) -> Booster:
        import xgboost

        booster = xgboost.Booster({"nthread": threads}, model_file=file)
        return booster.inplace_predict

    def gains(self, file: Path) -> dict[str, float]:
        import xgboost

        booster = xgboost.Booster(model_file=file)
        found: dict[str, Any] = booster.get_score(importance_type="total_gain")
        return {name: float(found.get(name, 0.0)) for name in booster.feature_names or ()}

    @classmethod
    def small(cls) -> Config:
        return cls.Config(rounds=20, leaves=7, least_weight=5.0, rows=20_000)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            **super().search(trial),
            "least_weight": trial.suggest_float("least_weight", 1.0, 200.0, log=True),
        }
