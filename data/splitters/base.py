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


def require_static(panel: Panel, columns: list[str], where: str) -> None:
    """InputError unless every one of `columns` is a static column."""
    for column in columns:
        if column not in panel.static.columns:
            raise unknown("static column", column, panel.static.columns, where)
