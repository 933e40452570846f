"""Rolling origin (Tashman 2000): cut-offs count back from each series' own end, or are dates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import InputError
from data.folds import Fold, Origins
from data.panel import Panel
from data.splitters.base import SPLITTERS


@SPLITTERS.register("rolling")
def rolling(competition: Competition, panel: Panel, end: np.ndarray, horizon: int) -> list[Fold]:
    """Fold 0 asks the last `horizon` rows, fold 1 those `step` rows earlier, ...; fits on the rows before.

    `gap` rows before a cut-off are left out of the training part (they are still shown as history).
    """
    if competition.task == "sequence":
        raise InputError(
            "competition.folds.kind: 'rolling' is for horizon tasks; choices: grouped, stratified_grouped"
        )
    settings, begin = competition.folds, panel.offsets[:-1]
    if settings.gap < 0:
        raise InputError(f"competition.folds.gap: found {settings.gap}, expected 0 rows or more")
    step = settings.step or horizon
    folds = []
    for index in range(len(settings.dates) or settings.count):
        if settings.dates:
            cutoff = _rows_of_date(panel, settings.dates[index], end)
            label = f"from {settings.dates[index]}"
        else:
            cutoff = end - horizon - index * step
            label = _label(panel, cutoff, begin, horizon + index * step)
        # A window that would reach beyond the end would ask held-out rows: its series is left out.
        asked = np.flatnonzero((cutoff + horizon <= end) & (cutoff - settings.gap > begin))
        if not len(asked):
            raise InputError(
                f"competition.folds: cut-off {index + 1} leaves no series with rows to fit on"
                f" (longest series {int((end - begin).max())} rows, horizon {horizon}, step {step})"
            )
        train_end = np.clip(cutoff - settings.gap, begin, end)
        folds.append(Fold(index, f"fold{index}", label, train_end, Origins(asked, cutoff[asked])))
    return folds


def _rows_of_date(panel: Panel, date: str, end: np.ndarray) -> np.ndarray:
    """(S,) first row of each series on or after `date`."""
    if panel.timestamp is None:
        raise InputError("competition.folds.dates: the time column is no date; give count and step instead")
    try:
        moment = np.datetime64(pd.Timestamp(date), "ns")
    except ValueError:
        raise InputError(f"competition.folds.dates: {date!r} is no date") from None
    spans = zip(panel.offsets[:-1], end, strict=True)
    return np.array([first + np.searchsorted(panel.timestamp[first:last], moment) for first, last in spans])


def _label(panel: Panel, cutoff: np.ndarray, begin: np.ndarray, back: int) -> str:
    inside = cutoff > begin
    if panel.timestamp is not None and inside.any():
        dates, count = np.unique(panel.timestamp[cutoff[inside]], return_counts=True)
        if count.max() > 0.5 * count.sum():
            return f"from {pd.Timestamp(dates[count.argmax()]).date()}"
    return f"{back} rows before the end"
