"""Blocks of many cut-offs: models are fitted once before a block and asked at every origin in it."""

from __future__ import annotations

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.folds import Fold, Origins
from data.panel import Panel
from data.splitters.base import SPLITTERS


@SPLITTERS.register("block")
def block(competition: Competition, panel: Panel, end: np.ndarray, horizon: int) -> list[Fold]:
    """Fold 0 asks all of the last `rows` rows of each series, fold 1 the `rows` rows before those, ...

    Within a block the origins stand `step` rows apart (null: the horizon) and every window lies inside the
    block. Each fold fits on the rows before its block (less `gap`) alone, so an origin in the midst of a
    block is shown rows as history that its model has not learnt from: the validation part of the literature
    on long horizons (Zhou et al. 2021, arXiv 2012.07436: 12 months to learn from, 4 to validate on).
    """
    if competition.task == "sequence":
        raise InputError(
            "competition.folds.kind: 'block' is for horizon tasks; choices: grouped, stratified_grouped"
        )
    settings, begin = competition.folds, panel.offsets[:-1]
    rows, step = settings.rows or horizon, settings.step or horizon
    if rows < horizon:
        raise InputError(f"competition.folds.rows: found {rows}, expected at least the horizon, {horizon}")
    origins = (rows - horizon) // step + 1
    folds = []
    for index in range(settings.count):
        last = end - index * rows
        first = last - rows
        asked = np.flatnonzero(first - settings.gap > begin)
        if not len(asked):
            raise InputError(
                f"competition.folds: block {index + 1} leaves no series with rows to fit on (longest series"
                f" {int((end - begin).max())} rows, blocks of {rows})"
            )
        row = np.repeat(first[asked], origins) + np.tile(np.arange(origins) * step, len(asked))
        label = f"{rows} rows, {index * rows} before the end" if index else f"the last {rows} rows"
        train_end = np.clip(first - settings.gap, begin, end)
        folds.append(Fold(index, f"fold{index}", label, train_end, Origins(np.repeat(asked, origins), row)))
    return folds
