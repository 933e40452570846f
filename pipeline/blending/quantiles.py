"""Quantiles blended as quantiles: the levels of a member are further columns of its prediction.

A weighted mean of the same level of several members (Vincent averaging) keeps the levels in order and the
shape of the members' distributions, which a mixture of them would widen. The blender is chosen for the first
metric of quantiles, or the pinball loss where the competition has none, among those that can; members that
predict points alone take no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data.metrics import UndefinedScore, make_metric
from data.scoring import Asked
from models.blenders.base import BLENDERS, BlendData
from models.blenders.nested import Judged, choose, judge
from pipeline.blending.run import BlendRun, summary_of

_FALLBACK = "pinball"


@dataclass(frozen=True)
class QuantileBlend:
    """Forecasts of the competition's Q levels, by members that have them."""

    run: BlendRun
    names: list[str]  # of those members
    data: BlendData  # (N, M, K * Q), target-major
    judged: dict[str, Judged]
    chosen: Judged

    @property
    def oof(self) -> np.ndarray:
        """(N, K, Q), each row by weights that did not see it where that can be."""
        honest = self.chosen.honest
        if honest is None:
            honest = self.chosen.blender.predict(self.data.value, self.data.rows)
        return self.unfold(honest)

    def part(self, part: str, asked: Asked) -> np.ndarray:
        """(N, K, Q) of the rows of another part."""
        value = _levels(self.run, self.names, part, asked)
        return self.unfold(self.chosen.blender.predict(value, self.run.rows(asked)))

    def unfold(self, value: np.ndarray) -> np.ndarray:
        """(N, K, Q) from (N, K * Q), in rising order."""
        levels = len(self.run.prepared.competition.quantiles)
        ordered: np.ndarray = np.sort(value.reshape(len(value), -1, levels), axis=2)
        return ordered

    def scores(self) -> dict[str, Any]:
        """Which members and which blender; the loss of every blender that was tried, by fold."""
        tried = {}
        for name, one in self.judged.items():
            folds = {fold.name: one.loss.get(fold.index, float("nan")) for fold in self.run.folds}
            tried[name] = {**summary_of(folds), "weights": one.blender.weights(self.names)}
        return {
            "members": self.names,
            "chosen": self.chosen.name,
            "weights": self.chosen.blender.weights(self.names),
            "metric": _deciding(self.run),
            "blenders": tried,
        }


def quantile_blend(run: BlendRun) -> QuantileBlend | None:
    """None where the competition asks for no quantiles, or no member has them."""
    levels = run.prepared.competition.quantiles
    names = [name for name in run.names if levels and has_levels(run, name)]
    if not names:
        return None
    value = _levels(run, names, None, run.asked)
    asked = replace(run.asked, truth=np.repeat(run.asked.truth, len(levels), axis=1))
    rows = run.rows(run.asked)
    data = BlendData(value, asked, lambda part, found: _loss(run, part, found), rows.group, rows.features)
    kinds = [name for name in run.settings["blenders"] if BLENDERS.get(name).of_quantiles] or ["mean"]
    judged = judge(kinds, data, run.settings["recency"])
    return QuantileBlend(run, names, data, judged, choose(judged))


def quantile_scores(run: BlendRun, asked: Asked, point: np.ndarray, value: np.ndarray) -> dict[str, float]:
    """Every metric of quantiles by name: those of the competition, or else the pinball loss."""
    levels = run.prepared.competition.quantiles
    if run.scorer.quantile_metrics:
        return run.scorer.quantile_scores(asked, point, levels, value)
    table = replace(
        run.scorer.table(asked, point), quantiles=np.array(levels, np.float64), quantile_prediction=value
    )
    try:
        return {_FALLBACK: make_metric(_FALLBACK).score(table)}
    except UndefinedScore:
        return {_FALLBACK: float("nan")}


def quantiles_by_fold(run: BlendRun, point: np.ndarray, value: np.ndarray) -> dict[str, Any]:
    """metrics: by name, with cv, cv_std and folds; coverage: level: share of the truth at or below it.

    What is local is filled in where there are such rows.
    """
    folds: dict[str, dict[str, float]] = {}
    for fold in run.folds:
        rows = run.asked.fold == fold.index
        for name, score in quantile_scores(run, run.asked.take(rows), point[rows], value[rows]).items():
            folds.setdefault(name, {})[fold.name] = score
    metrics = {name: {**summary_of(found), "local": None} for name, found in folds.items()}
    return {"metrics": metrics, "coverage": coverage(run, run.asked, value), "local_coverage": None}


def coverage(run: BlendRun, asked: Asked, value: np.ndarray) -> dict[str, float]:
    """Level: share of the judged truth that lies at or below that quantile of (N, K, Q)."""
    judged = asked.weight > 0
    below = asked.truth[judged, :, None] <= value[judged]
    levels = run.prepared.competition.quantiles
    share = below.mean(axis=(0, 1)) if judged.any() else np.full(len(levels), np.nan)
    return {f"{level:g}": float(part) for level, part in zip(levels, share, strict=True)}


def has_levels(run: BlendRun, name: str) -> bool:
    """Whether the member's files have every level; all its fits are of one kind."""
    first = run.folders[next(iter(run.fits[name][0]["oof"].values()))] / "oof.parquet"
    found = set(np.unique(pq.read_table(first, columns=["quantile"])["quantile"].to_numpy()))
    return {np.float32(level) for level in run.prepared.competition.quantiles} <= found


def _levels(run: BlendRun, names: Sequence[str], part: str | None, asked: Asked) -> np.ndarray:
    """(N, M, K * Q), target-major; part None: out-of-fold."""
    levels = run.prepared.competition.quantiles
    each = [
        run.oof(names, level) if part is None else run.part(part, asked, names, level) for level in levels
    ]
    stacked = np.stack(each, axis=-1)
    return stacked.reshape(len(stacked), len(names), -1)


def _loss(run: BlendRun, part: Asked, found: np.ndarray) -> float:
    """Of quantiles (n, K * Q) as blenders have them; `part` has the truth as often as there are levels."""
    levels = len(run.prepared.competition.quantiles)
    asked = replace(part, truth=part.truth[:, ::levels])
    value = found.reshape(len(found), -1, levels)
    score = next(iter(quantile_scores(run, asked, value[:, :, levels // 2], value).values()))
    return -score if _greater_is_better(run) else score


def _deciding(run: BlendRun) -> str:
    return run.scorer.quantile_metrics[0][0] if run.scorer.quantile_metrics else _FALLBACK


def _greater_is_better(run: BlendRun) -> bool:
    return bool(run.scorer.quantile_metrics) and run.scorer.quantile_metrics[0][1].greater_is_better
