"""What a feature family is.

A family turns a panel into columns: same rows, same order. It states for every column how far back it
reads a target or past-only column (`reach`), so that windows can blank it on steps of the horizon where it
would not be known. Stateless families are computed once; fitted ones learn from the training rows of a
fold (`fit`) and are applied when that fold's windows are made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.registry import Registry
from data.schema import Column

FEATURES: Registry[type[Feature]] = Registry("feature", "features")


class Feature(ABC):
    """One feature family with its settings.

    Subclasses are frozen dataclasses whose fields are the settings that YAML gives (lists arrive as
    tuples). They raise InputError in `columns` for settings that do not fit the competition.
    """

    version: ClassVar[int] = 1  # part of the artefact key: raise it when the numbers change
    fitted: ClassVar[bool] = False  # True: `fit` is called with a fold's training rows

    @abstractmethod
    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        """The columns that `transform` makes, in its order."""

    def fit(self, competition: Competition, panel: Panel, train: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters learnt from the rows where `train` ((R,) bool) is true.

        Stateless families learn nothing of single rows: it is their `reference`.
        """
        return self.reference(competition, panel)

    def moved(self, parameters: dict[str, np.ndarray], series: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters for other rows: series s there is series[s] of the panel fitted on, -1 for a new one.

        series: (S,) int64. A family whose parameters say something by series overrides it.
        """
        return parameters

    def reference(self, competition: Competition, panel: Panel) -> dict[str, np.ndarray]:
        """What a stateless family counts from or numbers by, of the panel as a whole: a first year, names.

        Rows of another panel (stage=predict) are given that of the panel fitted on, so that a row has the
        same values in both. {}: it takes nothing of the kind, as most families.
        """
        return {}

    @abstractmethod
    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        """Give the columns one after the other, each (R,): only one need be in memory at a time.

        parameters: what `fit` learnt; of a stateless family its `reference`.
        NaN where a value is missing, never infinite; categories as codes, 0 = missing. Row t of a column
        with reach r reads targets and past-only columns of rows up to t - r of the same series only.
        A fitted family gives rows that `fit` saw values that do not contain their own target.
        """

    def transform(
        self,
        competition: Competition,
        panel: Panel,
        parameters: dict[str, np.ndarray] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """(R, columns) float32 of `values`, written into `out` where it is given.

        parameters: of `fit`, or the `reference` of the panel fitted on; None: the panel's own reference.
        A new array has its columns contiguous (Fortran order), for it is written column by column.
        """
        columns = self.columns(competition, panel)
        if self.fitted and parameters is None:
            raise ValueError(f"{type(self).__name__} is fitted: transform needs the parameters of fit")
        if parameters is None:
            assert panel.fitted_series is None, "rows of another panel go by the reference of the fitted one"
            parameters = self.reference(competition, panel)
        if out is None:
            out = np.empty((len(columns), panel.rows), dtype=np.float32).T
        assert out.shape == (panel.rows, len(columns))
        values = self.values(competition, panel, parameters)
        for index, (column, column_values) in enumerate(zip(columns, values, strict=True)):
            out[:, index] = column_values
            assert not np.isinf(out[:, index]).any(), f"{column.name} has infinite values"
        return out

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        """Settings for a small test on this competition; None where the family does not apply."""
        return {}
