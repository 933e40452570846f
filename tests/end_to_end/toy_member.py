"""Members for tests of studies, loaded as a plugin: fitted at once, and they fail where they are told to.

They predict exp(level) everywhere, give or take a little by seed and fold, and write down every fit.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.errors import InputError
from data.folds import Origins
from data.origin_table import asked_rows
from data.predictions import prediction_table
from models.members.base import MEMBERS, FitTask, Member
from models.members.epoch_log import LOG, append_row


@MEMBERS.register("toy")
class Toy(Member):
    """Of no use but for tests."""

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        level: float = 2.0
        size: int = 1  # 1 to 3: predicts nothing else
        sleep: float = 0.0  # seconds of a fit
        log: str = ""  # file with a line a fit
        out_of_memory_above: float = 1e9  # levels with which a fit fails
        nan_above: float = 1e9
        refused_above: float = 1e9
        broken_above: float = 1e9
        diverging: str = ""  # "fold seed" of the one fit that diverges, whatever its level
        killed: str = ""  # file: where it is missing, the fit makes it and kills its process

    uses_features: ClassVar[bool] = True
    reads_fit: ClassVar[tuple[str, ...] | None] = ("threads",)
    reads_windows: ClassVar[tuple[str, ...] | None] = ("context",)
    config: Config

    def fit(self, task: FitTask) -> None:
        config = self.config
        if config.log:
            with Path(config.log).open("a") as stream:
                stream.write(f"{config.level} {config.size} {task.fold.name} {task.seed} {os.getpid()}\n")
        time.sleep(config.sleep)
        if config.killed and not Path(config.killed).exists():
            Path(config.killed).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if config.level > config.out_of_memory_above:
            raise MemoryError("a very large network")
        if config.diverging == f"{task.fold.name} {task.seed}":
            raise FloatingPointError("the loss is not finite")
        if config.level > config.refused_above:
            raise InputError("member toy: this level is no good")
        if config.level > config.broken_above:
            raise ZeroDivisionError("a bug of our own")

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        number, row = asked_rows(task.inputs, asked)
        noise = np.random.default_rng([task.seed, abs(task.fold.index)]).normal(0, 0.01)
        value = np.full((len(row), 1, 1), np.exp(self.config.level + noise))
        if self.config.level > self.config.nan_above:
            value[:] = np.nan
        return prediction_table(row, asked.row[number], value, ())

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {"level": trial.suggest_float("level", 0.0, 8.0), "size": trial.suggest_int("size", 1, 3)}


@MEMBERS.register("toy_of_epochs")
class ToyOfEpochs(Toy):
    """The same with an epoch: with early stopping its refits ask its folds' fits for how many are best."""

    reports_epochs: ClassVar[bool] = True

    def fit(self, task: FitTask) -> None:
        super().fit(task)
        append_row(task.folder / LOG, {"epoch": 1, "inner_loss": 1.0})
