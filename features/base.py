"""What a feature family is.

A family turns a panel into columns: same rows, same order. It states for every column how far back it
reads a target or past-only column (`reach`), so that windows can blank it on steps of the horizon where it
would not be known. Stateless families are computed once; fitted ones learn from the training rows of a
fold (`fit`) and are applied when that fold's windows are made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.panel import Panel
from data.registry import Registry
from data.schema import Column

FEATURES: Registry[type[Feature]] = Registry("feature", "features")


class Feature(ABC):
    """One feature family with its settings.

    Subclasses are dataclasses (frozen) whose fields are the settings that YAML gives; raise InputError in
    `columns` for settings that do not fit the competition.
    """

    version: ClassVar[int] = 1  # part of the artefact key: raise it when the numbers change
    fitted: ClassVar[bool] = False  # True: `fit` is called with a fold's training rows

    @abstractmethod
    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        """The columns that `transform` makes, in its order."""

    def fit(self, panel: Panel, train: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters learnt from the rows where `train` ((R,) bool) is true. Stateless families: {}."""
        return {}

    @abstractmethod
    def transform(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """(R, columns) float32, NaN where a value is missing; categories as codes, 0 = missing.

        Row t of a column with reach r reads targets and past-only columns of rows up to t - r of the same
        series only. A fitted family gives rows that `fit` saw values that do not contain their own target.
        """

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        """Settings for a small test on this competition; None where the family does not apply."""
        return {}
