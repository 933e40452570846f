"""The data sets that papers on long horizons share (ETT, ...): one table, a column a target, hour after hour.

Their protocol (Zhou et al. 2021, Informer, arXiv 2012.07436; Wu et al. 2021, Autoformer, arXiv 2106.13008):
the first months are learnt from, the next ones validated on, the next ones tested on, and what the file has
after them is not used. Every column is brought to mean 0 and deviation 1 by the rows that are learnt from,
and errors are means over such values, over all columns, steps and origins.
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

#: Settings of the reader: rows (hours, ...) of each part.
PARTS = ("train_rows", "validation_rows", "test_rows")


@READERS.register("long_horizon")
def read_long_horizon(folder: Path, competition: Competition) -> RawTables:
    """One row for each column of the wide table and time: the competition's `series`, `time` and `target`.

    reader_settings: train_rows, validation_rows, test_rows. All columns but the time become series, in the
    file's order, so that models share their weights over them. Raises InputError for settings that are no
    numbers of rows, for a file with fewer rows, and for values that are no numbers.
    """
    settings = competition.reader_settings
    for name in PARTS:
        if not isinstance(settings.get(name), int) or settings[name] < (1 if name == PARTS[0] else 0):
            raise InputError(
                f"competition {competition.name}, reader_settings.{name}: found {settings.get(name)!r},"
                " expected a number of rows"
            )
    [series], time, [target] = competition.series, competition.time, competition.target
    tables = read_files(folder, replace(competition, target=[], row_id=[], series=[]))
    file, wide = tables.name("train"), tables.train
    assert time is not None
    missing_columns(wide, [time], file)
    used = sum(settings[name] for name in PARTS)
    if len(wide) < used:
        raise InputError(f"{file}: found {len(wide)} rows, expected at least {used} ({', '.join(PARTS)})")
    names = [name for name in wide.columns if name != time]
    values = wide.loc[: used - 1, names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(place[0]) for place in np.nonzero(bad))
        found = str(wide[names[column]].iloc[row])
        raise InputError(f"{file}: row {row + 1}: column {names[column]!r}: found {found}, expected a number")
    learnt_from = values[: settings["train_rows"]]
    spread = learnt_from.std(axis=0)  # of the population, as scikit-learn's StandardScaler has it
    scaled = (values - learnt_from.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    long = pd.DataFrame(
        {
            series: np.repeat(np.array(names, dtype=object), used),
            time: np.tile(wide[time].to_numpy()[:used], len(names)),
            target: scaled.T.reshape(-1),
        }
    )
    if long[time].dtype.kind == "M":  # as in the text files that these are passed on as
        long[time] = long[time].dt.strftime("%Y-%m-%d %H:%M:%S")
    unused = len(wide) - used
    notes = (f"{file}: the last {unused:,} rows are not part of the protocol and are not read",)
    return replace(tables, competition=competition, train=long, notes=tables.notes + notes * (unused > 0))
