"""Columns of an origin table that are targets before the row, and the tail that grows by forecasts.

A direct model sees the targets before the origin, at every step the same ones. A model of one step sees those
right before its row; further on in the horizon they are its own forecasts, which `GrowingTail` holds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data.folds import Origins
from data.inputs import Inputs
from data.schema import InputSchema

#: (target, rows (n,), origin numbers (n,)) -> (n,) scaled targets of these rows, NaN where not known.
ValueOf = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


def history_columns(
    schema: InputSchema,
    origin: np.ndarray,
    number: np.ndarray,
    row: np.ndarray,
    tail: int,
    seasons: int,
    value_of: ValueOf,
) -> list[tuple[str, np.ndarray]]:
    """(name, (N,) values) for the N asked rows `row` of the origins `number`.

    origin: (M,) panel row from which on nothing is known. tail: that many newest values before it; seasons:
    for each period of the schema the newest value in the row's own phase, and the mean of the last `seasons`.
    """
    columns: list[tuple[str, np.ndarray]] = []
    everyone = np.arange(len(origin))
    step = row - origin[number] + 1
    for target, name in enumerate(schema.target):
        for back in range(1, tail + 1):
            columns.append((f"{name}.last{back}", value_of(target, origin - back, everyone)[number]))
        for period in schema.seasonality if seasons else ():
            newest = row - period * -(-step // period)  # the last row before the origin in the same phase
            phases = [value_of(target, newest - season * period, number) for season in range(seasons)]
            columns.append((f"{name}.phase{period}", phases[0]))
            if seasons > 1:
                stacked = np.stack(phases)
                count = np.isfinite(stacked).sum(0)
                mean = np.where(np.isfinite(stacked), stacked, 0.0).sum(0) / np.maximum(count, 1)
                columns.append((f"{name}.phase{period}.mean{seasons}", np.where(count > 0, mean, np.nan)))
    return columns


def known_values(inputs: Inputs, asked: Origins, location: np.ndarray, scale: np.ndarray) -> ValueOf:
    """Targets of judged rows as they are in the data. The caller asks for no row at or after an origin.

    location, scale: (M, K) of each origin.
    """
    begin = inputs.offsets[asked.series]
    judged = inputs.observed & (inputs.weight > 0)[:, None]
    values = np.where(judged, inputs.target, np.nan)

    def value_of(target: int, rows: np.ndarray, number: np.ndarray) -> np.ndarray:
        inside = rows >= begin[number]
        found = np.where(inside, values[np.where(inside, rows, 0), target], np.nan)
        return np.asarray((found - location[number, target]) / scale[number, target])

    return value_of


class GrowingTail:
    """The targets around M origins: what is known before them, then forecasts, put in step by step.

    What is known is copied from the rows before each origin; from the origin on there are NaN until a
    forecast is put there, so that no target of an asked row can be read.
    """

    def __init__(
        self,
        inputs: Inputs,
        asked: Origins,
        location: np.ndarray,
        scale: np.ndarray,
        tail: int,
        seasons: int,
    ) -> None:
        """location, scale: (M, K), those of the table (see data.origin_table.window_scale)."""
        schema = inputs.schema
        self._schema, self._tail, self._seasons = schema, tail, seasons
        periods = schema.seasonality if seasons else ()
        self._back = max([tail, *(period * seasons for period in periods)])
        self._origin = asked.row
        everyone = np.arange(len(asked.row))
        value_of = known_values(inputs, asked, location, scale)
        self._value = np.full(
            (len(everyone), self._back + schema.horizon, schema.targets), np.nan, np.float32
        )
        for place in range(self._back):
            for target in range(schema.targets):
                rows = asked.row - self._back + place
                self._value[:, place, target] = value_of(target, rows, everyone)

    def columns(self, step: int, number: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """The columns of `history_columns` for row `step` (1 is the first) of the origins `number`.

        As if the origin had moved on to that row: forecasts stand in for what is not known.
        """
        moved = self._origin + step - 1

        def value_of(target: int, rows: np.ndarray, of: np.ndarray) -> np.ndarray:
            return np.asarray(self._value[of, rows - self._origin[of] + self._back, target])

        return history_columns(
            self._schema, moved, number, moved[number], self._tail, self._seasons, value_of
        )

    def put(self, step: int, number: np.ndarray, value: np.ndarray) -> None:
        """Scaled forecasts (n, K) of row `step` of the origins `number` (n,)."""
        self._value[number, self._back + step - 1] = value
