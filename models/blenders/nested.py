"""Scores of blenders on rows that their weights never saw, and the choice among blenders.

Nested cross-validation: rows are predicted by weights fitted on other out-of-fold rows. Which others:

- cut-offs that follow one another in time: those of earlier cut-offs, so that the later one judges the
  earlier; the first of them is judged by groups of its own series;
- folds that hold out series: all other folds;
- a single fold: by groups of its series.

Rows that are asked twice (cut-offs closer than the horizon), and rows of a series that lie at or behind the
judged forecast's origin, are never fitted on. The weights that are used in the end are fitted on all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.scoring import Asked
from models.blenders.base import BLENDERS, BlendData, Blender

GROUPS = 5  # of series, where there is one fold
_SHARE_OF_LOSS = 0.01  # a gain beyond it is no tie, however uncertain
_RELATIVE = 1e-6  # a gain below this share of the loss is a tie, however certain


@dataclass(frozen=True)
class NestedPart:
    """Out-of-fold rows, and those that the weights which predict them are fitted on."""

    judged: np.ndarray  # (N,) bool
    seen: np.ndarray  # (N,) bool, nothing in common with `judged`


@dataclass(frozen=True)
class Judged:
    """One blender, as it stands on the out-of-fold rows."""

    name: str
    blender: Blender  # fitted on all rows
    honest: np.ndarray | None  # (N, K) each row by weights that did not see it; None: cannot be judged
    in_sample: float  # loss of the weights fitted on all rows, on these rows
    loss: dict[int, float]  # fold index: loss of the honest prediction there
    paired: np.ndarray  # (B,) loss by fold, or by group of series where there is one fold

    @property
    def mean(self) -> float:
        """Mean loss over folds; inf where it cannot be judged."""
        values = [value for value in self.loss.values() if np.isfinite(value)]
        return float(np.mean(values)) if values else float("inf")


def nested_parts(asked: Asked) -> list[NestedPart]:
    """Every row is judged once. Empty where there is nothing to fit on for some row."""
    folds = np.unique(asked.fold)
    everything = np.ones(len(asked), dtype=bool)
    if len(folds) < 2:
        parts = _by_series(asked, everything)
    else:
        order = folds_in_time(asked)
        parts = []
        for index, fold in enumerate(folds if order is None else order):
            judged = asked.fold == fold
            if order is None:
                parts.append(NestedPart(judged, _apart(asked, judged, ~judged)))
            elif index == 0:
                # One series has no groups: its first cut-off is judged by the later ones.
                own = _by_series(asked, judged)
                parts += own or [NestedPart(judged, _apart(asked, judged, ~judged))]
            else:
                earlier = np.isin(asked.fold, order[:index])
                parts.append(NestedPart(judged, _before(asked, judged, earlier)))
    return parts if all(part.seen.any() for part in parts) else []


def folds_in_time(asked: Asked) -> np.ndarray | None:
    """Fold indices, the earliest cut-off first; None where folds are no cut-offs of the same series."""
    folds = np.unique(asked.fold)
    rows = [np.unique(asked.series[asked.fold == fold]) for fold in folds]
    common = rows[0]
    for series in rows[1:]:
        common = np.intersect1d(common, series)
    if len(folds) < 2 or len(common) == 0:
        return None
    origin = np.stack([_first_origin(asked, asked.fold == fold)[common] for fold in folds])
    order = np.argsort(origin.mean(axis=1), kind="stable")
    return folds[order] if (np.diff(origin[order], axis=0) > 0).all() else None


def judge(names: Sequence[str], data: BlendData, recency: float | None = None) -> dict[str, Judged]:
    """Every blender of `names`, fitted and judged. recency: see `fitted`."""
    parts = nested_parts(data.asked)
    folds = [int(index) for index in np.unique(data.asked.fold)]
    blocks = [data.asked.fold == index for index in folds]
    if len(folds) == 1 and parts:
        blocks = [part.judged for part in parts]
    found = {}
    for name in names:
        kind = BLENDERS.get(name, "blend.names")
        blender = fitted(kind, data, recency)
        whole = blender.predict(data.value, data.rows)
        honest = honest_prediction(kind, data, parts, recency) if kind.fitted and data.members > 1 else whole
        losses: dict[int, float] = {}
        paired = np.full(len(blocks), np.inf)
        if honest is not None:
            losses = {index: _loss(data, honest, data.asked.fold == index) for index in folds}
            paired = np.array([_loss(data, honest, block) for block in blocks])
        found[name] = Judged(name, blender, honest, data.loss(whole), losses, paired)
    return found


def fitted(kind: type[Blender], data: BlendData, recency: float | None = None) -> Blender:
    """A blender fitted on all rows of `data`.

    recency: half-life in cut-offs. A row of a cut-off that lies so many behind the latest one counts half.
    """
    blender = kind()
    if recency is not None and kind.fitted:
        order = folds_in_time(data.asked)
        if order is not None:
            age = len(order) - 1 - np.argsort(order)[np.searchsorted(np.sort(order), data.asked.fold)]
            weight = (data.weight * 0.5 ** (age / recency)).astype(np.float32)
            data = replace(data, asked=replace(data.asked, weight=weight))
    blender.fit(data)
    return blender


def honest_prediction(
    kind: type[Blender], data: BlendData, parts: Sequence[NestedPart], recency: float | None = None
) -> np.ndarray | None:
    """(N, K), each row by weights that did not see it; None where there are no parts."""
    if not parts:
        return None
    prediction = np.empty_like(data.truth)
    for part in parts:
        blender = fitted(kind, data.take(part.seen), recency)
        judged = data.take(part.judged)
        prediction[part.judged] = blender.predict(judged.value, judged.rows)
    return prediction


def choose(judged: Mapping[str, Judged]) -> Judged:
    """The best honest mean; of those that are as good as tied with it, the simplest.

    A tie: the gain, paired over folds (or over groups of series, with one fold), is within its standard
    error, and within a hundredth of the loss. With two folds that is to say: not better on both of them.
    """
    best = min(judged.values(), key=lambda one: (one.mean, type(one.blender).complexity))
    if not np.isfinite(best.mean):  # nothing can be judged: the simplest
        return min(judged.values(), key=lambda one: (type(one.blender).fitted, type(one.blender).complexity))
    tied = [one for one in judged.values() if one.mean - best.mean <= _margin(one, best)]
    return min(tied, key=lambda one: (type(one.blender).complexity, one.mean, one.name))


def _margin(one: Judged, best: Judged) -> float:
    """What `one` may be worse than the best and still be tied with it."""
    size = abs(best.mean)
    both = np.isfinite(one.paired) & np.isfinite(best.paired)
    if both.sum() < 2:
        return _RELATIVE * size
    gain = one.paired[both] - best.paired[both]
    error = float(np.std(gain, ddof=1)) / np.sqrt(both.sum())
    return max(min(error, _SHARE_OF_LOSS * size), _RELATIVE * size)


def _by_series(asked: Asked, rows: np.ndarray) -> list[NestedPart]:
    """Parts of `rows` by groups of their series; none where there is one series."""
    names, series = np.unique(asked.series[rows], return_inverse=True)
    count = min(GROUPS, len(names))
    if count < 2:
        return []
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[np.random.default_rng(0).permutation(len(names))] = np.arange(len(names)) % count
    group = np.full(len(asked), -1)
    group[rows] = dealt[series]
    return [
        NestedPart(group == number, _apart(asked, group == number, rows & (group != number)))
        for number in range(count)
    ]


def _apart(asked: Asked, judged: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of `rows`, those that are not asked again among the judged ones."""
    seen: np.ndarray = rows & ~np.isin(asked.row_id, asked.row_id[judged])
    return seen


def _before(asked: Asked, judged: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of `rows`, those that lie before the judged origins of their series."""
    seen: np.ndarray = rows & (asked.row_id < _first_origin(asked, judged)[asked.series])
    return _apart(asked, judged, seen)


def _first_origin(asked: Asked, rows: np.ndarray) -> np.ndarray:
    """(S,) the first origin of each series among `rows`; the largest integer where it has none."""
    first = np.full(int(asked.series.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, asked.series[rows], asked.origin[rows])
    return first


def _loss(data: BlendData, prediction: np.ndarray, rows: np.ndarray) -> float:
    if rows.all():
        return data.loss(prediction)
    loss = float(data.judge(data.asked.take(rows), prediction[rows]))
    return loss if np.isfinite(loss) else float("inf")
