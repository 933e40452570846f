"""What members are worth beside one another: how alike their errors are, which one could go, what more of the
same would bring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.blenders.base import BLENDERS, BlendData, Blender
from models.blenders.nested import Judged, honest_prediction, nested_parts
from models.blenders.spaces import divisors
from pipeline.blending.run import BlendRun
from pipeline.member_predictions import averaged, out_of_fold

_WORST = 0.1  # share of the rows that count as a member's failures
_STAND_IN = "hill_climbing"  # asks the question of dropping for blenders that are fitted: it is quick


def compared_members(
    run: BlendRun,
    chosen: Judged,
    data: BlendData,
    progress: Callable[[float, str], None] = lambda share, text: None,
) -> dict[str, Any]:
    """correlation and overlap (M, M) in the order of `names`, `without` and `drop`, `more`; JSON-ready.

    progress: told the share that is done, 0 to 1, and what comes next.
    """
    return {
        "names": run.names,
        **_alike(data),
        **_without(run, chosen, data, progress),
        "more": {"seed": _one_more_seed(run, chosen), "fold": _one_more_fold(run, chosen)},
    }


def _alike(data: BlendData) -> dict[str, Any]:
    """correlation: of errors, in units of the size of their series.

    overlap: of the tenth of the rows in which a member is worst, the share in which the other is too; a tenth
    if they had nothing to do with each other.
    """
    judged = data.judged()
    unit = divisors(judged)[2]
    error = np.divide(judged.value - judged.truth[:, None], unit[:, None], where=unit[:, None] > 0,
                      out=np.zeros_like(judged.value))  # fmt: skip
    flat = error.transpose(1, 0, 2).reshape(data.members, -1)
    if flat.shape[1] < 2:
        return {"correlation": None, "overlap": None}
    spread = flat.std(axis=1)
    moved = (flat - flat.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)[:, None]
    worst = np.zeros(flat.shape)
    count = max(1, int(_WORST * flat.shape[1]))
    for member, size in enumerate(np.abs(flat)):
        worst[member, np.argsort(-size, kind="stable")[:count]] = 1.0
    return {
        "correlation": (moved @ moved.T / flat.shape[1]).tolist(),
        "overlap": (worst @ worst.T / count).tolist(),
    }


def _without(
    run: BlendRun, chosen: Judged, data: BlendData, progress: Callable[[float, str], None]
) -> dict[str, Any]:
    """Honest score of the blend without each member; drop: whose absence gains most, None if nobody's does.

    by: the blender, which is the chosen one if it has no weights to fit, else one that is quick.
    """
    kind = type(chosen.blender)
    name = chosen.name
    if kind.fitted:
        kind, name = BLENDERS.get(_STAND_IN), _STAND_IN
    if data.members < 2:
        return {"without": None, "drop": None}
    scores = {}
    for member in range(data.members):
        progress(member / data.members, f"the blend without {run.names[member]}")
        others = [number for number in range(data.members) if number != member]
        scores[run.names[member]] = _cross_validated(run, kind, data.with_members(others))
    everyone = _cross_validated(run, kind, data)
    better = max if run.scorer.metric.greater_is_better else min
    known = {one: score for one, score in scores.items() if np.isfinite(score)}
    drop = better(known, key=lambda one: known[one]) if known else None
    if drop is not None and not run.scorer.better(known[drop], everyone):
        drop = None
    return {"without": {"by": name, "all": everyone, "scores": scores}, "drop": drop}


def _cross_validated(run: BlendRun, kind: type[Blender], data: BlendData) -> float:
    honest: np.ndarray | None = None
    if kind.fitted and data.members > 1:
        honest = honest_prediction(kind, data, nested_parts(data.asked), run.settings["recency"])
    if honest is None:
        blender = kind()
        blender.fit(data)
        honest = blender.predict(data.value, data.rows)
    cv: float = run.by_fold(honest)["cv"]
    return cv


def _one_more_seed(run: BlendRun, chosen: Judged) -> dict[str, Any] | None:
    """Out-of-fold: one seed of each member alone, against all of them averaged.

    Members that have no seed (the seasonal naive forecast) are the same every time. None where there is
    nothing to compare, or members have different numbers of seeds.
    """
    counts = {len(fits) for fits in run.fits.values()}
    seeds = max(counts)
    if not counts <= {1, seeds}:
        return None
    if seeds < 2:
        return None
    alone = []
    for number in range(seeds):
        one = {name: [fits[number % len(fits)]] for name, fits in run.fits.items()}
        members = [out_of_fold(one[name], run.asked, run.fold_index, run.folders, name) for name in run.names]
        alone.append(np.stack(members, axis=1))
    rows = run.rows(run.asked)
    scores = [run.by_fold(chosen.blender.predict(value, rows))["cv"] for value in alone]
    together = run.by_fold(chosen.blender.predict(np.mean(alone, axis=0), rows))["cv"]
    return _extrapolated(scores, together)


def _one_more_fold(run: BlendRun, chosen: Judged) -> dict[str, Any] | None:
    """On local rows, where models of several folds are averaged: each fold's alone against all of them."""
    part, asked = run.local_part, run.asked_local
    if part is None or asked is None or len(run.folds) < 2:
        return None
    if any(set(entry[part]) != set(entry["oof"].values()) for fits in run.fits.values() for entry in fits):
        return None  # refits predict these rows
    rows, alone = run.rows(asked), []
    for fold in run.folds:
        members = [
            averaged([entry["oof"][fold.name] for entry in run.fits[name]], part, asked, run.folders, name)
            for name in run.names
        ]
        alone.append(np.stack(members, axis=1))
    scores = [run.scorer.score(asked, chosen.blender.predict(value, rows)) for value in alone]
    together = run.scorer.score(asked, chosen.blender.predict(np.mean(alone, axis=0), rows))
    return _extrapolated(scores, together)


def _extrapolated(alone: Sequence[float], together: float) -> dict[str, Any]:
    """Averaging s fits takes 1 / s of what is random in one: score(s) = floor + (score(1) - floor) / s.

    (Exact for squared errors; for others a fair guess.)
    """
    count, one = len(alone), float(np.mean(alone))
    random = (one - together) / (1 - 1 / count)
    after = together - random * (1 / count - 1 / (count + 1))
    return {
        "fits": count,
        "one": one,
        "all": together,
        "one_more": after,
        "gain": after - together,
        "limit": one - random,
    }
