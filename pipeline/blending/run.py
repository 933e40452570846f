"""What one blend job reads: the members' predictions of all parts, aligned to the asked rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data.folds import Fold
from data.predictions import POINT
from data.scoring import Asked, Scorer, asked_of
from models.blenders.base import BlendData, BlendRows
from pipeline.member_predictions import SeedFits, averaged, out_of_fold
from pipeline.stages.prepare import SOLUTION, Prepared, local_rows
from submissions.post import known_columns


class BlendRun:
    """Members in the order of their names: sums depend on it, and the configuration's order means nothing."""

    def __init__(self, prepared: Prepared, settings: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
        self.prepared, self.settings, self.folders = prepared, settings, folders
        self.fits: Mapping[str, list[SeedFits]] = settings["members"]
        self.names = sorted(self.fits)
        self.how: str = settings["fits"]
        self.scorer = Scorer(prepared.competition, prepared.panel)
        self.sign = -1.0 if self.scorer.metric.greater_is_better else 1.0
        self.folds: list[Fold] = [fold for fold in prepared.split.folds if fold.name in settings["folds"]]
        self.fold_index = {fold.name: fold.index for fold in self.folds}
        horizon, panel, split = prepared.horizon, prepared.panel, prepared.split
        self.asked = asked_of(panel, [(fold.index, fold.asked) for fold in self.folds], horizon)
        self.asked_test = asked_of(panel, [(split.test.index, split.test.asked)], horizon)
        self.local_part: str | None
        self.asked_local: Asked | None
        self.local_part, self.asked_local = local_rows(prepared, folders.get(SOLUTION))

    def parts(self) -> dict[str, Asked]:
        """Rows beside the out-of-fold ones: local, where there is one, and test."""
        rows = {"test": self.asked_test}
        if self.local_part is not None and self.asked_local is not None:
            rows = {self.local_part: self.asked_local, **rows}
            rows["test"] = self.asked_test if self.local_part != "test" else self.asked_local
        return rows

    def oof(self, names: Sequence[str] | None = None, quantile: float = POINT) -> np.ndarray:
        """(N, M, K) over seeds (blend.fits)."""
        chosen = self.names if names is None else names
        return _side_by_side(
            [
                out_of_fold(
                    self.fits[name], self.asked, self.fold_index, self.folders, name, quantile, self.how
                )
                for name in chosen
            ],
            self.asked,
        )

    def part(
        self, part: str, asked: Asked, names: Sequence[str] | None = None, quantile: float = POINT
    ) -> np.ndarray:
        """(N, M, K) over seeds and, where there is no refit, folds (blend.fits)."""
        chosen = self.names if names is None else names
        paths = {name: [path for entry in self.fits[name] for path in entry[part]] for name in chosen}
        return _side_by_side(
            [averaged(paths[name], part, asked, self.folders, name, quantile, self.how) for name in chosen],
            asked,
        )

    def data(self, value: np.ndarray) -> BlendData:
        """Out-of-fold members (N, M, K) as blenders get them."""
        rows = self.rows(self.asked)
        return BlendData(value, self.asked, self.loss, rows.group, rows.features)

    def loss(self, asked: Asked, value: np.ndarray) -> float:
        """The deciding metric, lower is better."""
        return self.sign * self.scorer.score(asked, value)

    def rows(self, asked: Asked) -> BlendRows:
        """What blenders may know of the rows: the series' group, and columns that are known ahead."""
        return blend_rows(self.prepared, asked, self.settings["group"])

    def by_fold(self, value: np.ndarray) -> dict[str, Any]:
        """cv, cv_std and folds of out-of-fold predictions (N, K)."""
        folds = {}
        for fold in self.folds:
            rows = self.asked.fold == fold.index
            folds[fold.name] = self.scorer.score(self.asked.take(rows), value[rows])
        return summary_of(folds)


def blend_rows(prepared: Prepared, asked: Asked, group: str | None) -> BlendRows:
    """What blenders may know of the asked rows. group: a static categorical column."""
    competition, panel = prepared.competition, prepared.panel
    features = {}
    for name in known_columns(competition):
        if name in panel.frame:
            features[name] = panel.frame[name].to_numpy()[asked.row_id].astype(np.float64)
        elif name in panel.static:
            features[name] = panel.static[name].to_numpy()[asked.series].astype(np.float64)
    codes = None if group is None else panel.static[group].to_numpy()[asked.series].astype(np.int64)
    series = panel.series_when_fitted()[asked.series]
    return BlendRows.of(replace(asked, series=series), codes, features)


def summary_of(folds: Mapping[str, float]) -> dict[str, Any]:
    """Mean and standard deviation (of the sample; 0 for one fold) over folds whose score is defined."""
    defined = [score for score in folds.values() if np.isfinite(score)]
    return {
        "cv": float(np.mean(defined)) if defined else float("nan"),
        "cv_std": float(np.std(defined, ddof=1)) if len(defined) > 1 else 0.0,
        "folds": dict(folds),
    }


def _side_by_side(members: list[np.ndarray], asked: Asked) -> np.ndarray:
    """(N, M, K) from (N, K) each."""
    value = np.empty((len(asked), len(members), asked.truth.shape[1]))
    for number, member in enumerate(members):
        value[:, number] = member
    return value
