"""M4's long files: `ds` counts from 1 in the training file and again from 1 in the test file.

Series have no common calendar (their true dates differ and are not in these files), so a row's time is
its number in its own series: the test row with ds = h stands h steps after the series' last training row.
The ids of the submission keep the test file's ds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import InputError
from data.raw_tables import RawTables, read_files
from data.sources.readers import READERS
from data.tables import missing_columns

STEP = "step"  # the column that the reader adds; the competition's `time`


@READERS.register("m4")
def read_m4(folder: Path, competition: Competition) -> RawTables:
    """The declared files, with the column `step`: the row's number in its series, over both files."""
    tables = read_files(folder, competition)
    assert tables.test is not None
    missing_columns(tables.train, ["unique_id", "ds"], tables.name("train"))
    missing_columns(tables.test, ["unique_id", "ds"], tables.name("test"))
    train_step = _whole(tables.train["ds"], tables.name("train"))
    test_step = _whole(tables.test["ds"], tables.name("test"))
    last = train_step.groupby(tables.train["unique_id"]).max()
    ahead = tables.test["unique_id"].map(last).fillna(0).astype(np.int64)
    restarts = test_step.groupby(tables.test["unique_id"]).transform("min") <= ahead
    return replace(
        tables,
        train=tables.train.assign(**{STEP: train_step}),
        test=tables.test.assign(**{STEP: test_step + ahead.where(restarts, 0)}),
    )


def _whole(values: pd.Series, file: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    bad = (numbers.isna() | (numbers % 1 != 0)).to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{file}: row {row + 1}: column 'ds': found {values.iloc[row]!r}, expected a whole number"
        )
    return numbers.astype(np.int64)
