"""The median of the training target by obvious groups: store, weekday and promotion; R, C and step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from data.errors import InputError, unknown
from data.folds import Origins
from data.inputs import training_rows
from data.origin_table import asked_rows
from data.panel import Panel
from data.predictions import prediction_table
from models.members.base import MEMBERS, FitTask, Member

TABLE = "medians.parquet"


@MEMBERS.register("group_median")
class GroupMedian(Member):
    """Median over training rows of weight > 0 with the same values of the `by` columns.

    A row whose group was never seen falls back to its group without the last column, and so on down to the
    median of everything; so does a series that was not there. Columns that are observed only in the past
    cannot make groups: asked rows lack them.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        by: list[str] = field(default_factory=list)  # columns; `series` and `step` (row of the group) too

    cost: ClassVar[int] = 0
    uses_features: ClassVar[bool] = False
    reads_fit: ClassVar[tuple[str, ...] | None] = ()
    reads_windows: ClassVar[tuple[str, ...] | None] = ()
    every_seed: ClassVar[bool] = False
    config: Config

    def fit(self, task: FitTask) -> None:
        columns = task.competition.columns
        for name in self.config.by:
            if name in (*columns.past_real, *columns.past_categorical):
                raise InputError(
                    f"group_median.by: column {name!r} is known only in the past, not where asked"
                )
        rows = np.flatnonzero(training_rows(task.panel, task.fold) & (task.panel.weight > 0))
        keys = _keys(task.panel, rows, list(self.config.by))
        names = [f"y{index}" for index in range(task.panel.target.shape[1])]
        table = pd.concat([keys, pd.DataFrame(task.panel.target[rows], columns=names)], axis=1)
        levels = []
        for depth in range(len(self.config.by), -1, -1):
            by = list(self.config.by)[:depth]
            medians = (
                table.groupby(by)[names].median().reset_index() if by else table[names].median().to_frame().T
            )
            levels.append(medians.assign(depth=depth))
        pd.concat(levels, ignore_index=True).to_parquet(task.folder / TABLE, index=False)

    def predict(self, task: FitTask, asked: Origins, part: str) -> pd.DataFrame:
        number, row = asked_rows(task.inputs, asked)
        by = list(self.config.by)
        stored = pd.read_parquet(task.folder / TABLE)
        names = [f"y{index}" for index in range(task.panel.target.shape[1])]
        keys = _keys(task.panel, row, by)
        value = np.full((len(row), len(names)), np.nan)
        for depth in range(len(by), -1, -1):
            level = stored.loc[stored["depth"] == depth]
            if depth:
                found = keys.merge(level, on=by[:depth], how="left", validate="many_to_one")[names].to_numpy()
            else:
                found = np.repeat(level[names].to_numpy(), len(row), axis=0)
            value = np.where(np.isfinite(value), value, found)
        return prediction_table(row, asked.row[number], np.nan_to_num(value, nan=0.0))


def _keys(panel: Panel, rows: np.ndarray, by: list[str]) -> pd.DataFrame:
    series = np.searchsorted(panel.offsets, rows, side="right") - 1
    columns: dict[str, np.ndarray] = {}
    for name in by:
        if name == "series":
            columns[name] = panel.series_when_fitted()[series]
        elif name == "step":
            columns[name] = rows - panel.offsets[series]
        elif name in panel.frame.columns:
            columns[name] = panel.frame[name].to_numpy()[rows]
        elif name in panel.static.columns:
            columns[name] = panel.static[name].to_numpy()[series]
        else:
            choices = ["series", "step", *panel.frame.columns, *panel.static.columns]
            raise unknown("column", name, choices, "group_median.by")
    return pd.DataFrame(columns, index=np.arange(len(rows)))
