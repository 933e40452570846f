"""Scores of blenders on rows that their weights never saw, and the choice among blenders.

Nested cross-validation: with several folds the rows of one fold are predicted by weights fitted on the
others (of rolling cut-offs, each is judged by the weights of the other ones); with a single fold the same
is done with groups of its series. The weights that are used in the end are fitted on all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.blenders.base import BLENDERS, BlendData, Blender

GROUPS = 5  # of series, where there is one fold
_SHARE_OF_SPREAD = 0.01  # scores closer than this share of the spread over folds are a tie
_RELATIVE = 1e-6  # or closer than this share of the score


@dataclass(frozen=True)
class Judged:
    """One blender, as it stands on the out-of-fold rows."""

    name: str
    blender: Blender  # fitted on all rows
    honest: np.ndarray | None  # (N, K) each row by weights that did not see it; None: cannot be judged
    in_sample: float  # loss of the weights fitted on all rows, on these rows
    loss: dict[int, float]  # fold index: loss of the honest prediction there
    spread: float  # standard deviation of the loss over the held-out groups

    @property
    def mean(self) -> float:
        """Mean loss over folds; inf where it cannot be judged."""
        values = [value for value in self.loss.values() if np.isfinite(value)]
        return float(np.mean(values)) if values else float("inf")


def held_out_groups(data: BlendData) -> np.ndarray:
    """(N,) int64: rows of one group are predicted by weights fitted on the other groups."""
    folds, fold = np.unique(data.asked.fold, return_inverse=True)
    if len(folds) > 1:
        return fold
    names, series = np.unique(data.asked.series, return_inverse=True)
    count = min(GROUPS, len(names))
    if count < 2:
        return np.zeros(len(data.asked), dtype=np.int64)
    group = np.empty(len(names), dtype=np.int64)
    group[np.random.default_rng(0).permutation(len(names))] = np.arange(len(names)) % count
    return group[series]


def judge(names: Sequence[str], data: BlendData) -> dict[str, Judged]:
    """Every blender of `names`, fitted and judged."""
    group = held_out_groups(data)
    folds = [int(index) for index in np.unique(data.asked.fold)]
    judged = {}
    for name in names:
        kind = BLENDERS.get(name, "blend.names")
        blender = kind()
        blender.fit(data)
        whole = blender.predict(data.value)
        honest = _honest(kind, data, group) if kind.fitted and data.members > 1 else whole
        losses: dict[int, float] = {}
        spread = 0.0
        if honest is not None:
            losses = {index: _loss(data, honest, data.asked.fold == index) for index in folds}
            each = [_loss(data, honest, group == number) for number in range(int(group.max(initial=0)) + 1)]
            finite = [value for value in each if np.isfinite(value)]
            spread = float(np.std(finite)) if finite else 0.0
        judged[name] = Judged(name, blender, honest, data.loss(whole), losses, spread)
    return judged


def choose(judged: Mapping[str, Judged]) -> Judged:
    """The best honest mean; of those as good as tied with it, the simplest."""
    best = min(judged.values(), key=lambda one: (one.mean, type(one.blender).complexity))
    if not np.isfinite(best.mean):  # nothing can be judged: the simplest
        return min(judged.values(), key=lambda one: (type(one.blender).fitted, type(one.blender).complexity))
    margin = max(_SHARE_OF_SPREAD * best.spread, _RELATIVE * abs(best.mean))
    tied = [one for one in judged.values() if one.mean <= best.mean + margin]
    return min(tied, key=lambda one: (type(one.blender).complexity, one.mean, one.name))


def _honest(kind: type[Blender], data: BlendData, group: np.ndarray) -> np.ndarray | None:
    """(N, K), or None where there is one group only, so that nothing is left to fit on."""
    if len(data.asked) == 0 or (group == group[0]).all():
        return None
    prediction = np.empty_like(data.truth)
    for number in range(int(group.max()) + 1):
        outside = group == number
        # Cut-offs closer than the horizon ask some rows twice; nobody who is judged on them sees them.
        seen = ~outside & ~np.isin(data.asked.row_id, data.asked.row_id[outside])
        if not seen.any():
            return None
        blender = kind()
        blender.fit(data.take(seen))
        prediction[outside] = blender.predict(data.value[outside])
    return prediction


def _loss(data: BlendData, prediction: np.ndarray, rows: np.ndarray) -> float:
    if rows.all():
        return data.loss(prediction)
    loss = float(data.judge(data.asked.take(rows), prediction[rows]))
    return loss if np.isfinite(loss) else float("inf")
