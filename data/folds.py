"""Which rows may be fitted on and which origins are asked: folds, the local hold-out and the test part.

Everything that is asked of a model is a set of origins (series, first asked row); everything that it may
learn from is, for each series, the rows before `train_end`. Grouped folds and rolling-origin folds are
the same thing seen so: a series that a grouped fold holds out has an empty training part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Origins(NamedTuple):
    """N (series, first asked row) pairs; rows are numbers in the panel."""

    series: np.ndarray  # (N,) int64
    row: np.ndarray  # (N,) int64


@dataclass(frozen=True)
class Fold:
    """What may be fitted on, and what is asked. Also used for the local and the test part."""

    index: int  # 0.. for folds; -1 local, -2 test
    name: str  # fold0 ...; local; test
    label: str  # for people: "from 2015-05-01" or "series 2 of 5"
    train_end: np.ndarray  # (S,) int64 panel row: rows offsets[s]:train_end[s] may be fitted on
    asked: Origins  # what is predicted once, at the end


@dataclass(frozen=True)
class Split:
    """All parts of a competition, fixed by the prepare stage."""

    folds: tuple[Fold, ...]
    local: Fold | None  # train_end = all but the hold-out; None: no hold-out, or local.kind=solution
    test: Fold  # train_end = everything; asked = the test rows
