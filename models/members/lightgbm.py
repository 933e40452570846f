"""LightGBM on the origin table (Ke et al. 2017), direct or recursive."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightgbm

from data.errors import InputError, OutOfTime
from models.members.base import MEMBERS, FitTask
from models.members.boosting import BoostingMember, TrainingData
from models.members.boosting_settings import BoostingConfig
from models.members.recursion import Booster


@MEMBERS.register("lightgbm")
class LightGBM(BoostingMember):
    """Gradient-boosted trees that grow leaf by leaf."""

    @dataclass(frozen=True)
    class Config(BoostingConfig):
        """Settings."""

        least_rows: int = 40  # in a leaf

    version: ClassVar[int] = 5
    kind: ClassVar[str] = "lightgbm"
    file_format: ClassVar[str] = "txt"
    config: Config

    def train(self, task: FitTask, objective: str, data: TrainingData, file: Path) -> None:
        config = self.config
        settings = {
            "objective": objective,
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.least_rows,
            "feature_fraction": config.feature_fraction,
            "bagging_fraction": config.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": config.l2,
            "seed": task.seed,
            "num_threads": task.fit.threads,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
        if data.level is not None:
            settings["alpha"] = data.level
        if objective == "tweedie":
            settings["tweedie_variance_power"] = config.tweedie_power
        rows = lightgbm.Dataset(
            data.feature,
            data.label,
            weight=data.weight,
            feature_name=data.name,
            categorical_feature=data.categorical,
            free_raw_data=True,
        )
        callbacks = [_watch(task, data, config.rounds)]
        try:
            booster = lightgbm.train(settings, rows, config.rounds, callbacks=callbacks)
        except lightgbm.basic.LightGBMError as error:  # of a setting: objective, leaves, ...
            raise InputError(f"member lightgbm: LightGBM refuses its settings: {error}") from error
        booster.save_model(file)

    def load(self, file: Path, threads: int) -> Booster:
        booster = lightgbm.Booster(model_file=file)
        return lambda feature: booster.predict(feature, num_threads=threads)  # type: ignore[return-value]

    def gains(self, file: Path) -> dict[str, float]:
        booster = lightgbm.Booster(model_file=file)
        gain = booster.feature_importance("gain")
        return {name: float(value) for name, value in zip(booster.feature_name(), gain, strict=True)}

    @classmethod
    def small(cls) -> Config:
        return cls.Config(rounds=20, leaves=7, least_rows=5, rows=20_000)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {**super().search(trial), "least_rows": trial.suggest_int("least_rows", 10, 200, log=True)}


def _watch(task: FitTask, data: TrainingData, rounds: int) -> Callable[[Any], None]:
    """Callback that reports progress and gives up at the deadline."""

    def after_round(environment: Any) -> None:
        done = environment.iteration + 1
        if done % 20 == 0 or done == rounds:
            task.progress(data.done(done / rounds), f"tree {done}/{rounds}")
        if task.deadline is not None and time.monotonic() > task.deadline:
            raise OutOfTime(f"after {done} of {rounds} trees")

    return after_round
