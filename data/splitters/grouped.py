"""Grouped folds: every series (or group of series) is held out once; scikit-learn does the dealing."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from data.competition import Competition
from data.errors import InputError
from data.folds import Fold, Origins
from data.panel import Panel
from data.splitters.base import SPLITTERS, groups_of, require_static


@SPLITTERS.register("grouped")
def grouped(competition: Competition, panel: Panel, end: np.ndarray, horizon: int) -> list[Fold]:
    """GroupKFold, shuffled by `folds.seed`; `folds.group` names static columns that are kept together."""
    series, group = _groups(competition, panel, end)
    settings = competition.folds
    splitter = GroupKFold(n_splits=settings.count, shuffle=True, random_state=settings.seed)
    held = [series[index] for _, index in splitter.split(series, groups=group)]
    return _folds(held, panel, end)


@SPLITTERS.register("stratified_grouped")
def stratified_grouped(competition: Competition, panel: Panel, end: np.ndarray, horizon: int) -> list[Fold]:
    """As `grouped`, and every fold keeps the mix of the static columns `folds.stratify`."""
    settings = competition.folds
    if not settings.stratify:
        raise InputError("competition.folds.stratify: stratified_grouped needs one static column at least")
    require_static(panel, settings.stratify, "competition.folds.stratify")
    series, group = _groups(competition, panel, end)
    classes = panel.static.groupby(settings.stratify, dropna=False).ngroup().to_numpy()[series]
    if np.bincount(classes).max() < settings.count:
        raise InputError(
            f"competition.folds.stratify: no combination of {', '.join(settings.stratify)} has as many series"
            f" as there are folds ({settings.count}): there is no mix to keep; name fewer columns"
        )
    splitter = StratifiedGroupKFold(n_splits=settings.count, shuffle=True, random_state=settings.seed)
    held = [series[index] for _, index in splitter.split(series, classes, group)]
    return _folds(held, panel, end)


def _groups(competition: Competition, panel: Panel, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Series that are open to folds, and the group of each. Raises InputError for a count that cannot be."""
    settings = competition.folds
    if competition.task == "horizon":
        raise InputError(
            f"competition.folds.kind: {settings.kind!r} is for sequence tasks; choices: rolling, file"
        )
    series = np.flatnonzero(end > panel.offsets[:-1])
    group = groups_of(competition, panel)[series]
    groups = len(np.unique(group))
    if not 2 <= settings.count <= groups:
        raise InputError(
            f"competition.folds.count: found {settings.count}, expected 2 to {groups} (the groups)"
        )
    return series, group


def _folds(held: list[np.ndarray], panel: Panel, end: np.ndarray) -> list[Fold]:
    begin = panel.offsets[:-1]
    folds = []
    for index, series in enumerate(held):
        asked = np.sort(series)
        train_end = end.copy()
        train_end[asked] = begin[asked]
        label = f"series {index + 1} of {len(held)}"
        folds.append(Fold(index, f"fold{index}", label, train_end, Origins(asked, begin[asked])))
    return folds
