"""From predictions of the test rows to the CSV: the sample's rows, order and columns, whatever theirs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from data.errors import InputError
from data.panel import Panel
from data.predictions import POINT
from submissions.layout import Layout


def submission_values(panel: Panel, layout: Layout, table: pd.DataFrame) -> np.ndarray:
    """(N, K) point predictions in the layout's order, from a prediction table in any order.

    Raises InputError naming the id of a row that is missing, predicted twice, not finite or not asked.
    """
    point = table.loc[table["quantile"] == np.float32(POINT)]
    out = np.empty((len(layout), len(layout.target)))
    for number, name in enumerate(layout.target):
        part = point.loc[point["target"] == number]
        row = part["row_id"].to_numpy()
        value = part["value"].to_numpy(dtype=np.float64)
        identity = pd.Index(panel.official_id[row])
        doubled = identity.duplicated()
        if doubled.any():
            at = int(np.argmax(doubled))
            raise InputError(f"predictions: id {identity[at]!r} is predicted twice ({name})")
        wild = ~np.isfinite(value)
        if wild.any():
            at = int(np.argmax(wild))
            raise InputError(
                f"predictions: id {identity[at]!r}: {name} is {value[at]}, expected a finite number"
                f" ({int(wild.sum())} such rows)"
            )
        place = identity.get_indexer(pd.Index(layout.key))
        if (place < 0).any():
            missing = layout.identity[int(np.argmax(place < 0))]
            raise InputError(
                f"predictions: id {missing!r} of {layout.source} has no prediction of {name}"
                f" ({int((place < 0).sum())} of {len(layout)} missing)"
            )
        if len(identity) > len(layout):
            extra = identity.difference(pd.Index(layout.key))[0]
            raise InputError(f"predictions: id {extra!r} is not in {layout.source}")
        out[:, number] = value[place]
    return out


def submission_frame(layout: Layout, value: np.ndarray, decimals: int | None = None) -> pd.DataFrame:
    """The table as it is written. Columns of whole numbers become integers unless decimals are asked."""
    columns: dict[str, object] = {name: layout.ids[name].to_numpy() for name in layout.id_columns}
    for number, name in enumerate(layout.target):
        column = value[:, number] + 0.0  # no negative zeros
        if decimals is not None:
            column = np.round(column, decimals) + 0.0
        if decimals in (None, 0) and (np.abs(column) < 2**53).all() and (column == np.rint(column)).all():
            columns[name] = column.astype(np.int64)
        else:
            columns[name] = column
    return pd.DataFrame(columns)[list(layout.columns)]


def write_submission(frame: pd.DataFrame, file: Path, decimals: int | None = None) -> None:
    """Write the CSV aside and rename it, so that a file with the name is always whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        frame.to_csv(
            aside,
            index=False,
            lineterminator="\n",
            float_format=None if decimals is None else f"%.{decimals}f",
        )
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)
