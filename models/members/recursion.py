"""Forecasts row after row by a model of one step, on its own forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data.history_columns import GrowingTail
from data.origin_table import OriginTable

#: (N, columns) -> (N,) scaled forecasts.
Booster = Callable[[np.ndarray], np.ndarray]


def scaled(boosters: Sequence[Booster], feature: np.ndarray) -> np.ndarray:
    """(N, boosters) what each says of every row."""
    return np.stack([booster(feature) for booster in boosters], axis=1)


def row_after_row(table: OriginTable, growing: GrowingTail, boosters: Sequence[Booster]) -> np.ndarray:
    """(N, K) scaled points of the table's rows: one call a step, for all origins together.

    growing: the tail around the table's origins, in its units; it is filled with the forecasts.
    boosters: one a target.
    """
    value = np.empty((len(table.row_id), len(boosters)), dtype=np.float32)
    for step, chosen in _by_step(table):
        number, feature = table.number[chosen], table.feature[chosen]
        for name, values in growing.columns(step, number):
            feature[:, table.name.index(name)] = values
        value[chosen] = scaled(boosters, feature)
        growing.put(step, number, value[chosen])
    return value


def _by_step(table: OriginTable) -> Iterator[tuple[int, np.ndarray]]:
    """(step, its rows in the table), from the first step on."""
    for step in range(1, int(table.step.max(initial=0)) + 1):
        yield step, np.flatnonzero(table.step == step)
