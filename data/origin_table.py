"""One row per (series, origin, step): the table that gradient boosting and baselines learn from.

The same columns as in windows, under the same rule: known ones at the asked row, past ones with reach r at
the asked row while the reach covers the step and missing elsewhere, and all past ones as of the origin (the
newest values that are known there). Targets are scaled by the window before the origin, as in windows.

A table for a model of one step (`one_step`), which forecasts row after row, has only columns that every step
may show, and the targets right before the row (see data/history_columns.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from data.folds import Origins
from data.history_columns import history_columns, known_values
from data.inputs import Inputs
from data.scaling import location_and_scale


@dataclass(frozen=True)
class OriginTable:
    """N asked rows."""

    feature: np.ndarray  # (N, columns) float32, NaN where not known
    name: tuple[str, ...]
    categorical: tuple[int, ...]  # columns that hold codes
    target: np.ndarray  # (N, K) float32 scaled; NaN where not known
    weight: np.ndarray  # (N,) float32
    row_id: np.ndarray  # (N,) int64
    origin: np.ndarray  # (N,) int64 panel row of the origin
    series: np.ndarray  # (N,) int64
    number: np.ndarray  # (N,) int64 which of the asked origins
    step: np.ndarray  # (N,) int64, 1 for the first asked row
    location: np.ndarray  # (N, K)
    scale: np.ndarray  # (N, K)


def asked_rows(
    inputs: Inputs, asked: Origins, end: np.ndarray | None = None, steps: int | None = None
) -> tuple[np.ndarray, ...]:
    """(origin number (N,), row (N,)) of every row of a file from each origin on, at most `steps` rows.

    end: (S,) rows at or after it are left out (a fold's train_end, when the table is for fitting).
    steps: None for the horizon.
    """
    stop = inputs.offsets[1:] if end is None else end
    last = np.minimum(asked.row + (steps or inputs.schema.horizon), stop[asked.series])
    count = np.maximum(last - asked.row, 0)
    number = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count) + asked.row[number]
    keep = inputs.asked[row]
    return number[keep], row[keep]


def window_scale(
    inputs: Inputs, asked: Origins, scaling: str, context: int | None = None, chunk: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """(M, K) location and scale of each origin, from its window's rows before it (see data.scaling)."""
    context = inputs.schema.context if context is None else context
    if scaling == "auto":
        scaling = "constant" if inputs.schema.context == 0 else "standard"
    origins, targets = len(asked.row), inputs.target.shape[1]
    if scaling == "constant":
        return np.tile(inputs.location, (origins, 1)), np.tile(inputs.scale, (origins, 1))
    location = np.zeros((origins, targets), dtype=np.float32)
    scale = np.ones((origins, targets), dtype=np.float32)
    if scaling == "none":
        return location, scale
    for first in range(0, origins, chunk):
        part = slice(first, first + chunk)
        rows, inside = _rows_before(inputs, asked.series[part], asked.row[part], context)
        counted = inside[:, :, None] & inputs.observed[rows] & (inputs.weight[rows] > 0)[:, :, None]
        found = location_and_scale(scaling, torch.from_numpy(inputs.target[rows]), torch.from_numpy(counted))
        location[part], scale[part] = found[0].numpy(), found[1].numpy()
    return location, scale


def _rows_before(
    inputs: Inputs, series: np.ndarray, origin: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(M, count) rows before each origin, oldest first, and whether they lie in the series."""
    rows = origin[:, None] - count + np.arange(count)
    inside = rows >= inputs.offsets[series][:, None]
    return np.where(inside, rows, origin[:, None] - (origin > 0)[:, None]), inside


def build_origin_table(
    inputs: Inputs,
    asked: Origins,
    scaling: str = "auto",
    tail: int = 0,
    seasons: int = 0,
    end: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    one_step: bool = False,
    steps: int | None = None,
) -> OriginTable:
    """The table of all rows asked at `asked`.

    tail: number of newest target values before the origin that become columns; seasons: for each seasonal
    period of the schema, the last value of the row's own phase and the mean of the last `seasons` ones.
    end, steps: see `asked_rows`. names: keep only these columns (those that were fitted on).

    one_step: columns for a model that looks one row ahead and is asked again and again. A column that reads
    the past is there only if its reach covers the horizon: what a later step would lack, the model must not
    learn to lean on. The columns of targets are NaN from the second row on, for a `GrowingTail` to fill in.
    """
    number, row = asked_rows(inputs, asked, end, steps)
    series, origin = asked.series[number], asked.row[number]
    location, scale = window_scale(inputs, asked, scaling)
    step = row - origin + 1
    columns: list[tuple[str, np.ndarray, bool]] = []

    def add(name: str, values: np.ndarray, categorical: bool = False) -> None:
        if names is None or name in names:
            columns.append((name, values, categorical))

    schema = inputs.schema
    for index, name in enumerate(schema.static_category):
        add(name, inputs.static_category[series, index], True)
    for index, name in enumerate(schema.static_real):
        add(name, inputs.static_real[series, index])
    for index, name in enumerate(schema.category):
        reach, codes = inputs.category_reach[index], inputs.category[:, index]
        if reach is None:
            add(name, codes[row], True)
            continue
        if one_step and reach < schema.horizon:
            continue
        if reach > 0:
            add(name, np.where(step <= reach, codes[row], 0), True)
        if reach < schema.horizon:
            newest = asked.row - (1 if reach == 0 else 0)
            known = np.where(newest >= inputs.offsets[asked.series], codes[newest], 0)
            add(f"{name}@origin", known[number], True)
    sequence = schema.context == 0
    if not sequence and not one_step:
        add("step", step)
    for index, column in enumerate(inputs.column):
        if column.name.startswith(("available.", "missing.")):
            continue
        if column.reach is None:
            add(column.name, inputs.real[row, index])
            continue
        if one_step and column.reach < schema.horizon:
            continue
        if column.reach > 0:
            values = _in_units(inputs.real[row, index], column.unit, column.target, location, scale, number)
            add(column.name, np.where(step <= column.reach, values, np.nan))
        if column.reach < schema.horizon:  # else the row's own value is newer
            newest = asked.row - (1 if column.reach == 0 else 0)
            values = _in_units(
                inputs.real[newest, index],
                column.unit,
                column.target,
                location,
                scale,
                np.arange(len(newest)),
            )
            values = np.where(newest >= inputs.offsets[asked.series], values, np.nan)
            add(f"{column.name}@origin", values[number])
    if not sequence:
        value_of = known_values(inputs, asked, location, scale)
        for name, values in history_columns(schema, asked.row, number, row, tail, seasons, value_of):
            add(name, np.where(step == 1, values, np.nan) if one_step else values)

    observed = inputs.observed[row]
    target = np.where(observed, (inputs.target[row] - location[number]) / scale[number], np.nan)
    feature = np.empty((len(row), len(columns)), dtype=np.float32)
    for index, (_, values, _) in enumerate(columns):
        feature[:, index] = values
    return OriginTable(
        feature=feature,
        name=tuple(name for name, _, _ in columns),
        categorical=tuple(index for index, (_, _, categorical) in enumerate(columns) if categorical),
        target=target.astype(np.float32),
        weight=np.where(observed.all(1), inputs.weight[row], 0.0).astype(np.float32),
        row_id=row,
        origin=origin,
        series=series,
        number=number,
        step=step,
        location=location[number],
        scale=scale[number],
    )


def _in_units(
    values: np.ndarray,
    unit: str,
    target: int,
    location: np.ndarray,
    scale: np.ndarray,
    number: np.ndarray,
) -> np.ndarray:
    if unit == "level":
        return (values - location[number, target]) / scale[number, target]
    if unit == "spread":
        return values / scale[number, target]
    return values
