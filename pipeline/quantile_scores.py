"""Scores of the members' quantiles, beside those of their points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data.scoring import Asked, Scorer
from pipeline.member_predictions import SeedFits, averaged, out_of_fold


@dataclass(frozen=True)
class QuantileScores:
    """What the scores of one run's members are found from."""

    scorer: Scorer
    levels: Sequence[float]  # asked for by the competition
    folds: Mapping[str, int]  # name: index, as `asked.fold` has it
    asked: Asked  # out-of-fold rows
    local_part: str | None
    asked_local: Asked | None
    folders: Mapping[str, Path]
    how: str  # blend.fits

    def of(self, seeds: Sequence[SeedFits], who: str) -> dict[str, Any] | None:
        """Metrics by name with folds and local score, and coverage; None for a member of points alone.

        Coverage: level: share of the judged out-of-fold truth that lies at or below that quantile.
        """
        if not self._predicted(seeds):
            return None

        def read(read_level: Callable[[float], np.ndarray]) -> np.ndarray:
            return np.stack([read_level(level) for level in self.levels], axis=-1)

        point = out_of_fold(seeds, self.asked, self.folds, self.folders, who, how=self.how)
        value = read(
            lambda level: out_of_fold(seeds, self.asked, self.folds, self.folders, who, level, self.how)
        )
        metrics: dict[str, dict[str, Any]] = {
            name: {"folds": {}, "local": None} for name, _ in self.scorer.quantile_metrics
        }
        for fold, index in self.folds.items():
            rows = self.asked.fold == index
            scores = self.scorer.quantile_scores(self.asked.take(rows), point[rows], self.levels, value[rows])
            for name, score in scores.items():
                metrics[name]["folds"][fold] = score
        if self.local_part is not None and self.asked_local is not None:
            part, asked = self.local_part, self.asked_local
            paths = [path for entry in seeds for path in entry[part]]
            local = read(lambda level: averaged(paths, part, asked, self.folders, who, level, self.how))
            local_point = averaged(paths, part, asked, self.folders, who, how=self.how)
            for name, score in self.scorer.quantile_scores(asked, local_point, self.levels, local).items():
                metrics[name]["local"] = score
        return {"metrics": metrics, "coverage": self._coverage(value)}

    def _predicted(self, seeds: Sequence[SeedFits]) -> bool:
        """Whether the member's files have every level; all its fits are of one kind."""
        first = self.folders[next(iter(seeds[0]["oof"].values()))] / "oof.parquet"
        found = set(np.unique(pq.read_table(first, columns=["quantile"])["quantile"].to_numpy()))
        return {np.float32(level) for level in self.levels} <= found

    def _coverage(self, value: np.ndarray) -> dict[str, float]:
        judged = self.asked.weight > 0
        below = self.asked.truth[judged, :, None] <= value[judged]
        share = below.mean(axis=(0, 1)) if judged.any() else np.full(len(self.levels), np.nan)
        return {f"{level:g}": float(part) for level, part in zip(self.levels, share, strict=True)}
