"""LightGBM on the origin table: one direct model for all steps of the horizon (Ke et al. 2017)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import lightgbm
import numpy as np
import pandas as pd

from data.errors import InputError, OutOfTime
from data.folds import Origins
from data.origin_table import OriginTable, build_origin_table
from data.origins import TrainingOrigins
from data.predictions import prediction_table
from data.scaling import inverse_transform
from models.interpretation import Interpretation
from models.members.base import MEMBERS, FitTask, Member

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
ROWS_PREDICTED_AT_ONCE = 500_000


@MEMBERS.register("lightgbm")
class LightGBM(Member):
    """Gradient-boosted trees; a target each, deterministic, with the fit's number of threads."""

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        rounds: int = 400
        learning_rate: float = 0.05
        leaves: int = 63
        least_rows: int = 40  # in a leaf
        feature_fraction: float = 0.7
        bagging_fraction: float = 0.8
        l2: float = 1.0
        objective: str = "auto"  # auto: what the metric hints at; else one of LightGBM's
        rows: int = 400_000  # training rows at most; origins are thinned to meet it
        tail: int = 0  # newest target values as columns
        seasons: int = 4  # seasons back for the mean of the row's phase; 0: no seasonal columns
        scaling: str = "auto"  # of the target, as windows.scaling

    version: ClassVar[int] = 2
    cost: ClassVar[int] = 3
    reads_fit: ClassVar[tuple[str, ...] | None] = ("loss", "threads")
    reads_windows: ClassVar[tuple[str, ...] | None] = ("context", "min_context", "input_scaling")
    config: Config

    def fit(self, task: FitTask) -> None:
        config = self.config
        table = self._training_table(task)
        judged = table.weight > 0
        if not judged.any():
            raise InputError(
                f"member lightgbm: no training row of {task.fold.name} has a target and a weight"
            )
        feature, weight = table.feature[judged], table.weight[judged]
        objective = config.objective
        if objective == "auto":
            objective = OBJECTIVES.get(task.loss if task.fit.loss == "auto" else task.fit.loss, "l1")
        power = 2 if objective == "l2" else 1
        comparable = task.scale_free and task.competition.target_transform == "none"
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
        targets = table.target.shape[1]
        for target in range(targets):
            # Errors are judged in transformed units; scaled ones are weighted back, unless the metric is
            # scale-free itself.
            of_scale = 1.0 if comparable else table.scale[judged, target] ** power
            data = lightgbm.Dataset(
                feature,
                table.target[judged, target],
                weight=weight * of_scale / np.mean(weight * of_scale),
                feature_name=_plain(table.name),
                categorical_feature=list(table.categorical),
                free_raw_data=True,
            )
            callbacks = [_watch(task, target, targets, config.rounds)]
            try:
                booster = lightgbm.train(settings, data, config.rounds, callbacks=callbacks)
            except lightgbm.basic.LightGBMError as error:  # of a setting: objective, leaves, ...
                raise InputError(f"member lightgbm: LightGBM refuses its settings: {error}") from error
            booster.save_model(task.folder / f"target{target}.txt")

    def _training_table(self, task: FitTask) -> OriginTable:
        """All rows after origins that are spread evenly, so that at most `rows` come together."""
        origins = TrainingOrigins(task.inputs, task.fold.train_end, task.windows.min_context)
        wanted = max(1, self.config.rows // task.inputs.schema.horizon)
        stride = 1
        if task.competition.task == "horizon":
            stride = max(1, -(-len(origins) // wanted))
        chosen = origins.strided(stride)
        if len(chosen) > wanted:  # groups are not strided, and a stride leaves every series one origin
            keep = np.random.default_rng([task.seed, 5]).permutation(len(chosen))
            chosen = chosen[np.sort(keep[:wanted])]
        return self._table(task, Origins(chosen[:, 0], chosen[:, 1]), task.fold.train_end)

    def _table(self, task: FitTask, asked: Origins, end: np.ndarray | None = None) -> OriginTable:
        config = self.config
        return build_origin_table(task.inputs, asked, config.scaling, config.tail, config.seasons, end)

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        boosters = [
            lightgbm.Booster(model_file=task.folder / f"target{target}.txt")
            for target in range(task.inputs.target.shape[1])
        ]
        chunk = max(1, ROWS_PREDICTED_AT_ONCE // task.inputs.schema.horizon)
        tables = []
        for first in range(0, len(asked.row), chunk):
            table = self._table(
                task, Origins(asked.series[first : first + chunk], asked.row[first : first + chunk])
            )
            value = np.stack(
                [booster.predict(table.feature, num_threads=task.fit.threads) for booster in boosters], axis=1
            )
            value = value * table.scale + table.location
            value = inverse_transform(task.competition.target_transform, value.astype(np.float64))
            tables.append(prediction_table(table.row_id, table.origin, value))
        return pd.concat(tables, ignore_index=True)

    def interpretation(self, task: FitTask) -> Interpretation:
        """`gain`: share of every column in the gain of the trees of all targets, the largest first."""
        total: dict[str, float] = {}
        for file in sorted(task.folder.glob("target*.txt")):
            booster = lightgbm.Booster(model_file=file)
            for name, gain in zip(booster.feature_name(), booster.feature_importance("gain"), strict=True):
                total[name] = total.get(name, 0.0) + float(gain)
        whole = sum(total.values()) or 1.0
        rows = sorted(((gain / whole, name) for name, gain in total.items()), reverse=True)
        return Interpretation({"gain": {name: share for share, name in rows}})

    @classmethod
    def small(cls) -> Config:
        return cls.Config(rounds=20, leaves=7, least_rows=5, rows=20_000)

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "leaves": trial.suggest_int("leaves", 15, 255, log=True),
            "least_rows": trial.suggest_int("least_rows", 10, 200, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "l2": trial.suggest_float("l2", 1e-3, 100.0, log=True),
        }


def _plain(names: Sequence[str]) -> list[str]:
    """LightGBM refuses JSON's special characters in names, and two of a name."""
    plain: dict[str, None] = {}
    for name in names:
        allowed = "".join("_" if character in '",:[]{} ' else character for character in name)
        while allowed in plain:
            allowed += "_"
        plain[allowed] = None
    return list(plain)


def _watch(task: FitTask, target: int, targets: int, rounds: int) -> Callable[[Any], None]:
    """Callback that reports progress and gives up at the deadline."""

    def after_round(environment: Any) -> None:
        done = environment.iteration + 1
        if done % 20 == 0 or done == rounds:
            task.progress((target + done / rounds) / targets, f"tree {done}/{rounds}")
        if task.deadline is not None and time.monotonic() > task.deadline:
            raise OutOfTime(f"after {done} of {rounds} trees")

    return after_round
