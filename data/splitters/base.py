"""What a splitter is, and the checks that all share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data.competition import Competition
from data.errors import unknown
from data.folds import Fold
from data.panel import Panel
from data.registry import Registry

#: (competition, panel, end (S,) of what is open to folds, horizon in rows) -> folds.
#: `end` stands before the local hold-out; no fold may ask or fit on a row at or after it.
Splitter = Callable[[Competition, Panel, np.ndarray, int], list[Fold]]

SPLITTERS: Registry[Splitter] = Registry("splitter", "data.splitters")


def groups_of(competition: Competition, panel: Panel) -> np.ndarray:
    """(S,) group of each series by the static columns `folds.group`; without them each is its own.

    Raises InputError for what is no static column.
    """
    columns = competition.folds.group
    if not columns:
        return np.arange(panel.series)
    require_static(panel, columns, "competition.folds.group")
    groups: np.ndarray = panel.static.groupby(columns, dropna=False).ngroup().to_numpy()
    return groups


def require_static(panel: Panel, columns: list[str], where: str) -> None:
    """InputError unless every one of `columns` is a static column."""
    for column in columns:
        if column not in panel.static.columns:
            raise unknown("static column", column, panel.static.columns, where)
