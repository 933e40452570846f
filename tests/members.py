"""Toy fits of members: both tasks, two targets, unequal series, gaps in them, and one before cut-offs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.competition import Competition
from data.folds import Fold, Origins, Split
from data.inputs import build_inputs
from data.panel import Panel
from data.scoring import asked_of
from data.settings import Windows
from data.split import horizon_of, make_split
from models.members.base import FitTask
from models.members.catalogue import member_class
from models.network import NETWORKS
from models.settings import Fit
from tests.panels import HORIZON, make_panel

CONTEXT = 9
GAP = 2
FIT = Fit(max_epochs=3, batch_size=8, device="cpu", learning_rate=0.01)
WINDOWS = Windows(per_epoch=16)


@dataclass(frozen=True)
class Toy:
    """A competition with its folds."""

    competition: Competition
    panel: Panel
    split: Split

    @property
    def fold(self) -> Fold:
        """The first fold."""
        return self.split.folds[0]

    @property
    def horizon(self) -> int:
        """Rows asked at once."""
        return horizon_of(self.competition, self.panel)


def make_toy(kind: str, seed: int = 0, **shape: Any) -> Toy:
    """Two folds of a toy panel of the task `kind`; horizon tasks leave GAP rows before each cut-off."""
    competition, panel = make_panel(kind, seed=seed, **{"series": 9, **shape})
    folds = competition.folds
    if kind == "sequence":
        folds.kind, folds.count = "grouped", 2
    else:
        folds.kind, folds.count, folds.step, folds.gap = "rolling", 2, HORIZON, GAP
    return Toy(competition, panel, make_split(competition, panel))


def fit_task(toy: Toy, folder: Path, panel: Panel | None = None, **changes: Any) -> FitTask:
    """A fit of the toy's first fold in `folder`; `panel` stands in for the toy's own."""
    folder.mkdir(parents=True, exist_ok=True)
    panel = toy.panel if panel is None else panel
    fold = changes.get("fold", toy.fold)
    task = FitTask(
        competition=toy.competition,
        panel=panel,
        inputs=build_inputs(toy.competition, panel, [], fold, CONTEXT, toy.horizon),
        fold=fold,
        windows=WINDOWS,
        fit=FIT,
        seed=0,
        folder=folder,
        loss="l1",
    )
    return replace(task, **changes)


def small_settings(kind: str) -> dict[str, Any]:
    """What `small()` of the member, or of the network behind it, says."""
    source = NETWORKS.get(kind) if kind in NETWORKS.names() else member_class(kind)
    return asdict(source.small())


def asked_rows_of(toy: Toy, asked: Origins) -> tuple[np.ndarray, np.ndarray]:
    """(row_id, origin) of every row that the origins ask, found without any member's help."""
    rows = asked_of(toy.panel, [(0, asked)], toy.horizon)
    return rows.row_id, rows.origin


def more_origins(toy: Toy) -> Origins:
    """The first fold's origins; in horizon tasks also those three rows earlier, so that windows overlap."""
    asked = toy.fold.asked
    if toy.competition.task == "sequence":
        return asked
    earlier = asked.row - 3
    kept = earlier > toy.panel.offsets[asked.series]
    return Origins(
        np.concatenate([asked.series, asked.series[kept]]), np.concatenate([asked.row, earlier[kept]])
    )


def garbled_from(panel: Panel, first: np.ndarray, seed: int = 1) -> Panel:
    """Other targets, past-only values and weights in the rows from `first` (S,) of each series on.

    What is missing changes too; test rows have no target before and after.
    """
    generator = np.random.default_rng(seed)
    rows = np.flatnonzero(np.arange(panel.rows) >= np.repeat(first, np.diff(panel.offsets)))
    target, frame, weight = panel.target.copy(), panel.frame.copy(), panel.weight.copy()
    noise = generator.gamma(9.0, 900.0, target[rows].shape)
    noise[generator.random(noise.shape) < 0.2] = np.nan
    target[rows] = np.where(panel.test[rows, None] | ~panel.present[rows, None], np.nan, noise)
    weight[rows] = generator.integers(0, 2, len(rows))
    if "visitors" in frame:
        frame.loc[rows, "visitors"] = generator.normal(1e4, 1e3, len(rows))
        frame.loc[rows, "weather"] = generator.integers(0, 4, len(rows))
    return replace(panel, target=target, frame=frame, weight=weight)


class Killed(Exception):
    """Stands for kill -9 in the middle of a fit."""


def killer(when: Callable[[float, str], bool]) -> Callable[[float, str], None]:
    """A progress callback that raises Killed at the first report for which `when(share, text)` holds."""

    def progress(share: float, text: str) -> None:
        if when(share, text):
            raise Killed(f"{share:.2f} {text}")

    return progress


def same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Assert that two prediction tables are equal to the bit."""
    pd.testing.assert_frame_equal(first, second, check_exact=True)
