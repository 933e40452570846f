"""Base of lightgbm and xgboost: boosted trees on the origin table, direct or recursive.

direct: one model for all steps; `step` is a column (Ben Taieb et al. 2012 call it direct with shared data).
recursive: a model of one step, applied row after row to its own forecasts; of the past it sees the targets
right before the row alone, since nothing else would be there on the next step (data/history_columns.py).
Every asked row's forecast is fed back: which of them will not be judged may depend on their truth.

With boosters F that are sums of trees, learnt by gradient descent on the loss of the scaled targets z
(Friedman 2001, algorithm 1), x[t] the known columns of row t, o the origin and m(o) what is known there:

    direct     z_hat[o + h - 1] = F(x[o + h - 1], m(o), h)
    recursive  z_hat[t] = F(x[t], z'[t - 1], ..., z'[t - tail]), z' the target before o, z_hat from o on

Quantiles have a booster each, of the pinball loss max(q e, (q - 1) e), e = z - F (Koenker & Bassett 1978),
and are sorted so that they never cross. A model of one step has none: the errors of the steps before it are
part of a later step's, and no booster knows them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import InputError
from data.folds import Origins
from data.history_columns import GrowingTail
from data.origin_table import OriginTable, build_origin_table, window_scale
from data.origins import TrainingOrigins
from data.predictions import prediction_table
from data.scaling import inverse_transform
from models.interpretation import Interpretation
from models.members.base import FitTask, Member, check_installed
from models.members.boosting_settings import (
    LOG_LINK,
    LONGEST_TAIL,
    OBJECTIVES,
    QUANTILE,
    check_settings,
)
from models.members.recursion import Booster, row_after_row, scaled

ROWS_PREDICTED_AT_ONCE = 500_000


@dataclass(frozen=True)
class TrainingData:
    """What one booster learns from: (N, columns) with their labels and weights."""

    feature: np.ndarray
    label: np.ndarray  # (N,)
    weight: np.ndarray  # (N,) 1 on average
    name: list[str]
    categorical: list[int]
    level: float | None  # of the quantile to learn; None: the point, by the objective
    place: int  # of this booster among `boosters`
    boosters: int

    def done(self, share: float) -> float:
        """The share of all boosters' work, at a share of this one's."""
        return (self.place + share) / self.boosters


class BoostingMember(Member):
    """Subclasses train and load one booster: a target's point, or one of its quantiles.

    Deterministic, with the fit's number of threads. A booster that is done is kept when a fit is killed.
    """

    kind: ClassVar[str]
    file_format: ClassVar[str]
    cost: ClassVar[int] = 3
    predicts_quantiles: ClassVar[bool] = True
    reads_fit: ClassVar[tuple[str, ...] | None] = ("loss", "threads")
    reads_windows: ClassVar[tuple[str, ...] | None] = ("context", "min_context", "input_scaling")
    config: Any

    @abstractmethod
    def train(self, task: FitTask, objective: str, data: TrainingData, file: Path) -> None:
        """Learn and write to `file`; report progress, mind the deadline.

        objective: ours or the library's name, QUANTILE where `data.level` is one.
        Raises InputError for settings that the library refuses.
        """

    @abstractmethod
    def load(self, file: Path, threads: int) -> Booster:
        """The booster that `train` wrote."""

    @abstractmethod
    def gains(self, file: Path) -> dict[str, float]:
        """Column: gain of its splits."""

    def check(self, competition: Competition, place: str) -> None:
        check_settings(self.config, competition, place)

    def points_only(self) -> str:
        return "a model of one step has no quantiles" if self.config.strategy == "recursive" else ""

    def fit(self, task: FitTask) -> None:
        check_installed(type(self), self.kind)
        self.check(task.competition, f"member.{self.kind}")
        objective = self._objective(task)
        wanted = self._wanted(task, objective)
        files = {self._file(task, *output): output for output in wanted}  # the median may be the point
        if all(file.exists() for file in files):
            return
        table = self._training_table(task, objective)
        judged = table.weight > 0
        if not judged.any():
            raise InputError(
                f"member {self.kind}: no training row of {task.fold.name} has a target and a weight"
            )
        feature, weight = table.feature[judged], table.weight[judged]
        comparable = task.scale_free and task.competition.target_transform == "none"
        for place, (file, (target, level)) in enumerate(files.items()):
            if file.exists():
                continue
            label = table.target[judged, target]
            if objective in LOG_LINK and label.min() < 0:
                name = task.inputs.schema.target[target]
                raise InputError(
                    f"member.{self.kind}.objective: {objective!r} learns targets of 0 and more, and"
                    f" {name} is {label.min():g} in a training row"
                )
            # Errors are judged in transformed units; scaled ones are weighted back, unless the metric is
            # scale-free itself.
            power = 2 if objective == "l2" and level is None else 1
            of_scale = 1.0 if comparable else table.scale[judged, target] ** power
            data = TrainingData(
                feature=feature,
                label=label,
                weight=weight * of_scale / np.mean(weight * of_scale),
                name=_plain(table.name),
                categorical=list(table.categorical),
                level=level,
                place=place,
                boosters=len(files),
            )
            unfinished = file.with_name(f".{file.name}")
            self.train(task, objective if level is None else QUANTILE, data, unfinished)
            unfinished.replace(file)

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        check_installed(type(self), self.kind)
        objective = self._objective(task)
        levels, targets = self._levels(task), task.inputs.target.shape[1]
        boosters = [
            self.load(self._file(task, *output), task.fit.threads) for output in self._wanted(task, objective)
        ]
        chunk = max(1, ROWS_PREDICTED_AT_ONCE // task.inputs.schema.horizon)
        tables = []
        for first in range(0, len(asked.row), chunk):
            some = Origins(asked.series[first : first + chunk], asked.row[first : first + chunk])
            table = self._table(task, objective, some)
            if self.config.strategy == "recursive":
                growing = GrowingTail(
                    task.inputs,
                    some,
                    *window_scale(task.inputs, some, self._scaling(objective)),
                    self._tail(task),
                    self.config.seasons,
                )
                value = row_after_row(table, growing, boosters)
            else:
                value = scaled(boosters, table.feature)
            value = value.reshape(len(value), targets, 1 + len(levels)).astype(np.float64)
            value[:, :, 1:].sort(axis=2)
            value = value * table.scale[:, :, None] + table.location[:, :, None]
            value = inverse_transform(task.competition.target_transform, value)
            tables.append(prediction_table(table.row_id, table.origin, value, levels))
        return pd.concat(tables, ignore_index=True)

    def interpretation(self, task: FitTask) -> Interpretation:
        """`gain`: every column's share in the gain of the trees of all targets' points, the largest first."""
        total: dict[str, float] = {}
        for target in range(task.inputs.target.shape[1]):
            for name, gain in self.gains(self._file(task, target)).items():
                total[name] = total.get(name, 0.0) + gain
        whole = sum(total.values()) or 1.0
        rows = sorted(((gain / whole, name) for name, gain in total.items()), reverse=True)
        return Interpretation({"gain": {name: share for share, name in rows}})

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "leaves": trial.suggest_int("leaves", 15, 255, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "l2": trial.suggest_float("l2", 1e-3, 100.0, log=True),
        }

    def _levels(self, task: FitTask) -> tuple[float, ...]:
        return () if self.points_only() else task.inputs.schema.quantile

    def _wanted(self, task: FitTask, objective: str) -> list[tuple[int, float | None]]:
        """(target, level) of all boosters in the order of the outputs: each target's point, its quantiles.

        Where the point is the median, the quantile 0.5 is the point.
        """
        levels = [None if objective == "l1" and level == 0.5 else level for level in self._levels(task)]
        return [(target, level) for target in range(task.inputs.target.shape[1]) for level in [None, *levels]]

    def _file(self, task: FitTask, target: int, level: float | None = None) -> Path:
        of_level = "" if level is None else f"-quantile{level:g}"
        return task.folder / f"target{target}{of_level}.{self.file_format}"

    def _objective(self, task: FitTask) -> str:
        if self.config.objective != "auto":
            return str(self.config.objective)
        return OBJECTIVES.get(task.loss if task.fit.loss == "auto" else task.fit.loss, "l1")

    def _training_table(self, task: FitTask, objective: str) -> OriginTable:
        """All rows after origins that are spread evenly, so that at most `rows` come together.

        Of a recursive model one row an origin: any row of the training part may be one, drawn at random.
        """
        one_step = self.config.strategy == "recursive"
        origins = TrainingOrigins(
            task.inputs, task.fold.train_end, task.windows.min_context, 1 if one_step else None
        )
        wanted = max(1, self.config.rows // (1 if one_step else task.inputs.schema.horizon))
        stride = 1
        if task.competition.task == "horizon" and not one_step:
            stride = max(1, -(-len(origins) // wanted))
        if one_step and len(origins) > wanted:
            number = np.random.default_rng([task.seed, 5]).choice(len(origins), wanted, replace=False)
            chosen = origins.origins(np.sort(number))
        else:
            chosen = origins.strided(stride)
        if len(chosen) > wanted:  # groups are not strided, and a stride leaves every series one origin
            keep = np.random.default_rng([task.seed, 5]).permutation(len(chosen))
            chosen = chosen[np.sort(keep[:wanted])]
        asked = Origins(chosen[:, 0], chosen[:, 1])
        return self._table(task, objective, asked, task.fold.train_end, 1 if one_step else None)

    def _table(
        self,
        task: FitTask,
        objective: str,
        asked: Origins,
        end: np.ndarray | None = None,
        steps: int | None = None,
    ) -> OriginTable:
        return build_origin_table(
            task.inputs,
            asked,
            self._scaling(objective),
            self._tail(task),
            self.config.seasons,
            end,
            one_step=self.config.strategy == "recursive",
            steps=steps,
        )

    def _scaling(self, objective: str) -> str:
        return "none" if objective in LOG_LINK else str(self.config.scaling)

    def _tail(self, task: FitTask) -> int:
        if self.config.tail is not None:
            return int(self.config.tail)
        if self.config.strategy == "direct":
            return 0
        schema = task.inputs.schema
        return min(next(iter(schema.seasonality), schema.horizon), LONGEST_TAIL)


def _plain(names: Sequence[str]) -> list[str]:
    """The libraries refuse JSON's special characters and < in names, and two of a name."""
    plain: dict[str, None] = {}
    for name in names:
        allowed = "".join("_" if character in '",:[]{}<> ' else character for character in name)
        while allowed in plain:
            allowed += "_"
        plain[allowed] = None
    return list(plain)
