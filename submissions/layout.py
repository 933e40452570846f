"""What the submission's rows and columns must be: those of the sample, or of the asked rows without one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data.competition import Competition
from data.errors import InputError
from data.official_id import (
    compose,
    sample_id_columns,
    sample_keys,
    sample_targets,
    time_columns,
    written,
)
from data.panel import Panel
from data.tables import missing_columns, read_path, typed


@dataclass(frozen=True)
class Layout:
    """N rows in the order of the file."""

    columns: tuple[str, ...]  # of the CSV, in order
    id_columns: tuple[str, ...]
    target: tuple[str, ...]  # prediction columns, in the order of the panel's targets
    ids: pd.DataFrame  # (N, id columns) text, as the sample has it
    identity: np.ndarray  # (N,) str: the id columns joined
    key: np.ndarray  # (N,) str: the panel's `official_id` of the row, which knows one way to write a time
    separator: str
    source: str  # file or table that it comes from, for messages

    def __len__(self) -> int:
        return len(self.identity)


def layout_of(competition: Competition, panel: Panel, sample: pd.DataFrame | None) -> Layout:
    """The layout of a competition's submission. Without a sample: all test rows in the order of the panel.

    Raises InputError for a sample without the declared columns, with further ones, or with an id twice.
    """
    columns, target = sample_id_columns(competition), sample_targets(competition)
    separator = competition.row_id_separator
    if sample is None:
        key = panel.official_id[panel.test]
        made = _from_panel(panel, competition, columns, target)
        return _layout(made, columns, target, separator, "the test rows", key)
    source = str(competition.files.sample)
    missing_columns(sample, [*columns, *target], source)
    return _layout(sample, columns, target, separator, source, sample_keys(sample, competition))


def layout_of_sample(file: Path, id_columns: list[str] | None = None, separator: str = "_") -> Layout:
    """The layout that a sample file shows. The id columns, where not given, are the shortest run of leading
    columns whose values together are unique; all others hold predictions."""
    names = list(read_path(file).columns)
    if id_columns is None:
        table = read_path(file, text=names)
        count = 1
        while count < len(names) and table.duplicated(names[:count]).any():
            count += 1
        if count == len(names):
            raise InputError(
                f"{file}: no column is left for predictions; say which are ids with ids=NAME,..."
            )
        id_columns = names[:count]
    table = read_path(file, text=id_columns)
    missing_columns(table, id_columns, str(file))
    target = [name for name in names if name not in id_columns]
    return _layout(table, id_columns, target, separator, str(file))


def _layout(
    sample: pd.DataFrame,
    columns: list[str],
    target: list[str],
    separator: str,
    source: str,
    key: np.ndarray | None = None,
) -> Layout:
    """key: None where no panel is asked, and ids are compared as they are written."""
    extra = [name for name in sample.columns if name not in (*columns, *target)]
    if extra:
        raise InputError(
            f"{source}: column {extra[0]!r} is neither an id nor a target; expected"
            f" {', '.join([*columns, *target])}"
        )
    ids = pd.DataFrame({name: written(sample[name]) for name in columns})
    identity = compose(ids, columns, separator)
    return Layout(
        columns=tuple(sample.columns),
        id_columns=tuple(columns),
        target=tuple(target),
        ids=ids,
        identity=identity,
        key=identity if key is None else key,
        separator=separator,
        source=source,
    )


def _from_panel(
    panel: Panel, competition: Competition, columns: list[str], target: list[str]
) -> pd.DataFrame:
    """The ids of the test rows, taken apart into their columns, and empty prediction columns."""
    rows = np.flatnonzero(panel.test)
    series = panel.series_name[panel.series_of_row()[rows]]
    ids = pd.DataFrame(_split(panel.official_id[rows], series, columns, competition.row_id_separator))
    for name in time_columns(competition):
        times = typed(ids[name])
        if times.dtype.kind == "M" and ids[name].str.len().nunique() > 1:  # midnights lost their time of day
            ids[name] = written(times)
    return ids.assign(**dict.fromkeys(target, 0.0))


def _split(
    identity: np.ndarray, series: np.ndarray, columns: list[str], separator: str
) -> dict[str, np.ndarray]:
    """(N,) text of each id column. InputError where the separator stands inside a column's values."""
    if len(columns) == 1:
        return {columns[0]: identity}
    if len(columns) == 2 and all(
        whole.startswith(name + separator) for whole, name in zip(identity, series, strict=True)
    ):
        rest = [whole[len(name) + len(separator) :] for whole, name in zip(identity, series, strict=True)]
        return {columns[0]: series, columns[1]: np.array(rest, dtype=object)}
    parts = [whole.split(separator) for whole in identity]
    for whole, part in zip(identity, parts, strict=True):
        if len(part) != len(columns):
            raise InputError(
                f"id {whole!r} cannot be taken apart into {', '.join(columns)} at {separator!r}; choose a"
                f" row_id_separator that stands in none of them"
            )
    return {name: np.array([part[i] for part in parts], dtype=object) for i, name in enumerate(columns)}
