"""Predictions as a table keyed by row, so that nothing is ever aligned by position.

Columns: row_id (panel row), origin (panel row of the first asked row of the window), target (number),
quantile (0 for a point forecast), value (original units). Where predictions of several fits stand together
also member, seed and fold. `part` is oof, local or test and stands in the file's name.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

KEY = ["row_id", "origin", "target", "quantile"]
PARTS = ("oof", "local", "test")
POINT = 0.0


class IncompletePredictions(ValueError):
    """Rows are missing, doubled or not finite; the message names the first of them."""


def prediction_table(
    row_id: np.ndarray,
    origin: np.ndarray,
    value: np.ndarray,
    quantile: Sequence[float] = (),
) -> pd.DataFrame:
    """Long table from dense predictions.

    row_id, origin: (N,) int64; value: (N, K) or (N, K, 1 + Q): the point forecast first, then one column a
    quantile. Sorted by key, so that equal predictions give equal files.
    """
    dense = value[:, :, None] if value.ndim == 2 else value
    rows, targets, outputs = dense.shape
    if outputs != 1 + len(quantile):
        raise ValueError(f"{outputs} outputs for a point and {len(quantile)} quantiles")
    levels = np.concatenate([[POINT], np.asarray(quantile, dtype=np.float32)])
    table = pd.DataFrame(
        {
            "row_id": np.repeat(np.asarray(row_id, dtype=np.int64), targets * outputs),
            "origin": np.repeat(np.asarray(origin, dtype=np.int64), targets * outputs),
            "target": np.tile(np.repeat(np.arange(targets, dtype=np.int16), outputs), rows),
            "quantile": np.tile(levels.astype(np.float32), rows * targets),
            "value": dense.reshape(-1).astype(np.float64),
        }
    )
    return table.sort_values(KEY, kind="stable", ignore_index=True)


def check_complete(
    table: pd.DataFrame, row_id: np.ndarray, origin: np.ndarray, who: str, targets: int = 1
) -> None:
    """Raise IncompletePredictions unless every (row_id, origin) is there once for each target and quantile.

    row_id, origin: (N,) what was asked; targets: K. Quantiles are those of the table.
    """
    bad = table.loc[~np.isfinite(table["value"].to_numpy())]
    if len(bad):
        raise IncompletePredictions(
            f"{who}: the prediction of row {bad['row_id'].iloc[0]} is not finite ({len(bad)} rows)"
        )
    doubled = table.duplicated(KEY)
    if doubled.any():
        raise IncompletePredictions(f"{who}: row {table.loc[doubled, 'row_id'].iloc[0]} is predicted twice")
    order = np.lexsort((origin, row_id))
    row_id, origin = np.asarray(row_id)[order], np.asarray(origin)[order]
    grouped = table.groupby(["target", "quantile"])
    parts = {(int(part["target"].iloc[0]), float(part["quantile"].iloc[0])): part for _, part in grouped}
    quantiles = sorted({quantile for _, quantile in parts}) or [POINT]
    unknown = sorted({target for target, _ in parts} - set(range(targets)))
    if unknown:
        raise IncompletePredictions(f"{who}: target {unknown[0]} was not asked, there are {targets}")
    for target, quantile in itertools.product(range(targets), quantiles):
        part = parts.get((target, quantile), table.iloc[:0]).sort_values(["row_id", "origin"])
        if np.array_equal(part["row_id"], row_id) and np.array_equal(part["origin"], origin):
            continue
        asked = pd.MultiIndex.from_arrays([row_id, origin])
        given = pd.MultiIndex.from_arrays([part["row_id"], part["origin"]])
        missing = asked.difference(given)
        extra = given.difference(asked)
        what = f"row {missing[0][0]} is missing" if len(missing) else f"row {extra[0][0]} was not asked"
        raise IncompletePredictions(
            f"{who}: {what} (target {target}, quantile {quantile:g};"
            f" {len(missing)} missing, {len(extra)} not asked)"
        )


def save_predictions(table: pd.DataFrame, file: Path) -> None:
    """Write a table as parquet."""
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file, compression="zstd")


def load_predictions(file: Path, **constants: object) -> pd.DataFrame:
    """Read a table; `constants` (member=, seed=, fold=) become columns."""
    table = pq.read_table(file).to_pandas()
    return table.assign(**constants) if constants else table  # type: ignore[arg-type]


def average(tables: Sequence[pd.DataFrame], how: str = "mean") -> pd.DataFrame:
    """Mean or median over fits (folds, seeds) of the same asked rows, key by key.

    Raises IncompletePredictions if the tables do not have the same keys.
    """
    if how not in ("mean", "median"):
        raise ValueError(f"average by {how!r}; mean or median")
    first = tables[0].sort_values(KEY, kind="stable", ignore_index=True)
    values = [first["value"].to_numpy()]
    for table in tables[1:]:
        other = table.sort_values(KEY, kind="stable", ignore_index=True)
        if len(other) != len(first) or not all(np.array_equal(other[name], first[name]) for name in KEY):
            raise IncompletePredictions("predictions of several fits are not for the same rows")
        values.append(other["value"].to_numpy())
    stacked = np.stack(values)
    combined = stacked.mean(0) if how == "mean" else np.median(stacked, axis=0)
    return first[KEY].assign(value=combined)
