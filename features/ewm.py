"""Exponentially weighted means of known columns: what they were lately, newer rows counting more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import lfilter

from data.competition import Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import known_numbers, positive
from features.within_series import blockwise


@FEATURES.register("ewm")
@dataclass(frozen=True)
class ExponentiallyWeighted(Feature):
    """m_t = sum_k w^k x_{t-k} / sum_k w^k over the series' rows so far, w = 2^(-1 / half life).

    As pandas' ewm(halflife=..., adjust=True, ignore_na=False).mean(): missing values have no weight.
    """

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    half_lives: tuple[float, ...] = (2.0, 8.0)  # rows after which a value counts half

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.ewm"
        positive(where, "half_lives", self.half_lives, least=0.1)
        inputs = known_numbers(competition, panel, self.inputs, where)
        return tuple(Column(f"{name}.ewm_{half:g}") for name, _ in inputs for half in self.half_lives)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for _, value in known_numbers(competition, panel, self.inputs, "features.ewm"):
            for half in self.half_lives:
                yield ewm(value, panel.offsets, half)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        return {"half_lives": [1.5, 4]} if competition.columns.known_real else None


def ewm(values: np.ndarray, offsets: np.ndarray, half_life: float) -> np.ndarray:
    """(R,) float64 means of (R,) values, series by series; NaN until there is a value."""
    kept = 0.5 ** (1.0 / half_life)

    def decayed(block: np.ndarray) -> np.ndarray:
        total: np.ndarray = lfilter([1.0], [1.0, -kept], block, axis=1)
        return total

    def mean(block: np.ndarray, out: np.ndarray) -> None:
        known = np.isfinite(block)
        weight = decayed(known.astype(np.float64))
        total = decayed(np.where(known, block, 0.0).astype(np.float64))
        np.divide(total, weight, out=out, where=weight > 0)
        out[weight == 0] = np.nan

    return blockwise(values, offsets, mean, np.float64)
