"""What the checks look at: some of the series, with the rows that are asked and rows like them that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data.competition import Competition
from data.folds import Fold, Origins, Split
from data.inputs import Block, Inputs, build_inputs
from data.origin_table import build_origin_table
from data.panel import Panel

#: Rows of the chosen series together, beyond which fewer series are chosen: for columns of all their rows.
MOST_ROWS = 300_000
#: Series (groups) of one part beyond which more would not move a figure.
MOST_SERIES = 1000
#: Asked origins at fewer different times than this: what is seen of the past tells them apart, as days do.
FEW_ORIGINS = 12
#: Cut-offs before the end of history that asked rows are compared with: the first, and what is usual between.
CUTOFFS = 4


@dataclass(frozen=True)
class Rows:
    """N rows of one part, in the columns that a model is shown there."""

    name: str  # test, local, train; cut-off 1 is the last horizon of the history, cut-off 2 the one before
    feature: np.ndarray  # (N, columns) float32, NaN where not known
    row: np.ndarray  # (N,) int64 row of the sample's panel
    series: np.ndarray  # (N,) int64, the unit that is drawn: rows of one series are much alike
    time: np.ndarray  # (N,) int64 where series share a calendar

    @property
    def units(self) -> int:
        """Number of its series."""
        return len(np.unique(self.series))


@dataclass(frozen=True)
class Sample:
    """The parts of a competition side by side, by the same columns."""

    inputs: Inputs  # of the chosen series
    panel: Panel  # the same series
    parts: tuple[Rows, ...]  # test first, then what it is compared with, the nearest first
    column: tuple[str, ...]  # of `Rows.feature`
    by_time: (
        np.ndarray
    )  # (columns,) bool: the same for all series at a time, so it tells times apart by itself

    def part(self, name: str) -> Rows | None:
        """The part of that name."""
        return next((rows for rows in self.parts if rows.name == name), None)

    @property
    def cutoffs(self) -> list[Rows]:
        """Of horizon tasks, the newest first."""
        return [rows for rows in self.parts if rows.name.startswith("cut-off")]

    @property
    def known(self) -> Rows | None:
        """What is most like the test rows and has its targets: the last cut-off, or the labelled groups."""
        return self.part("cut-off 1") or self.part("train")

    @property
    def compared(self) -> np.ndarray:
        """Columns (numbers) that tell rows apart by more than their time."""
        return np.flatnonzero(~self.by_time)


def chosen_series(competition: Competition, panel: Panel, split: Split, seed: int) -> np.ndarray:
    """Numbers of the series that are looked at, in order: of each part as many as are enough."""
    generator = np.random.default_rng([seed, 1])
    test = np.unique(split.test.asked.series)
    parts = [test]
    if competition.task == "sequence":
        local = split.local.asked.series if split.local else test[:0]
        labelled = np.flatnonzero(split.test.train_end > panel.offsets[:-1])
        parts += [np.unique(local), np.setdiff1d(labelled, local)]
    length = max(1.0, float(np.diff(panel.offsets).mean()))
    most = int(min(MOST_SERIES, max(20, MOST_ROWS / length / len(parts))))
    return np.sort(np.concatenate([generator.permutation(part)[:most] for part in parts]))


def rows_of_series(panel: Panel, series: np.ndarray) -> np.ndarray:
    """(rows,) panel rows of the series, one series after the other."""
    count = np.diff(panel.offsets)[series]
    start = np.repeat(panel.offsets[series] - (np.cumsum(count) - count), count)
    return start + np.arange(len(start))


def panel_of_series(panel: Panel, series: np.ndarray) -> Panel:
    """The panel with these series alone."""
    row = rows_of_series(panel, series)
    return replace(
        panel,
        offsets=np.concatenate([[0], np.cumsum(np.diff(panel.offsets)[series])]).astype(np.int64),
        series_name=panel.series_name[series],
        time=panel.time[row],
        timestamp=None if panel.timestamp is None else panel.timestamp[row],
        frame=_taken(panel.frame, row),
        static=_taken(panel.static, series),
        target=panel.target[row],
        weight=panel.weight[row],
        present=panel.present[row],
        test=panel.test[row],
        official_id=panel.official_id[row],
        file_row=None if panel.file_row is None else panel.file_row[row],
        masks={},
    )


def _taken(frame: pd.DataFrame, row: np.ndarray) -> pd.DataFrame:
    """Rows of a frame, which may have no column."""
    columns = {name: frame[name].to_numpy()[row] for name in frame.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(row)))


def draw(
    competition: Competition,
    panel: Panel,
    split: Split,
    blocks: Sequence[Block],
    context: int,
    horizon: int,
    most_rows: int,
    seed: int,
) -> Sample:
    """A sample with at most `most_rows` rows of each part.

    blocks: columns of families that fit nothing, of all rows; fitted ones are left out, since they encode
    training rows otherwise than asked ones.
    """
    series = chosen_series(competition, panel, split, seed)
    part, row = panel_of_series(panel, series), rows_of_series(panel, series)
    own = [Block(block.columns, np.asarray(block.values[row])) for block in blocks]
    place = np.full(panel.series, -1, dtype=np.int64)
    place[series] = np.arange(len(series))
    moved = part.offsets[:-1] - panel.offsets[series]  # of the rows of each chosen series

    def origins(asked: Origins) -> Origins:
        here = place[asked.series]
        kept = here >= 0
        return Origins(here[kept], asked.row[kept] + moved[here[kept]])

    whole = split.test
    end = whole.train_end[series] + moved
    fold = Fold(whole.index, whole.name, whole.label, end, origins(whole.asked))
    inputs = build_inputs(competition, part, own, fold, context, horizon)
    asked = {"test": fold.asked}
    if competition.task == "sequence":
        local = origins(split.local.asked) if split.local else Origins(place[:0], place[:0])
        labelled = np.setdiff1d(np.flatnonzero(end > part.offsets[:-1]), local.series)
        if len(local.series):
            asked["local"] = local
        asked["train"] = Origins(labelled, part.offsets[labelled])
    else:
        asked |= _cutoffs(part, fold, horizon)
    generator = np.random.default_rng([seed, 2])
    clock = part.time if part.timestamp is None else part.timestamp.astype(np.int64)
    parts: list[Rows] = []
    names: tuple[str, ...] = ()
    steps: np.ndarray | None = None
    for name, at in asked.items():
        table = build_origin_table(inputs, _some(at, most_rows, horizon, generator))
        keep = np.arange(len(table.step)) if steps is None else np.flatnonzero(np.isin(table.step, steps))
        steps = np.unique(table.step) if steps is None else steps  # of the test rows: no others are compared
        if len(keep) > most_rows:
            keep = np.sort(generator.permutation(keep)[:most_rows])
        row = table.row_id[keep]
        parts.append(Rows(name, table.feature[keep], row, table.series[keep], clock[row]))
        names = table.name
    by_time = np.zeros(len(names), dtype=bool)
    if competition.task == "horizon":
        by_time = same_at_a_time(parts) | (np.array(names) == "step")
        if part.timestamp is not None and len(np.unique(part.timestamp[fold.asked.row])) < FEW_ORIGINS:
            by_time |= ~_known_ahead(inputs, names)
    return Sample(inputs, part, tuple(parts), names, by_time)


def _known_ahead(inputs: Inputs, names: Sequence[str]) -> np.ndarray:
    """(columns,) bool: it reads no past. Others are seen as of the origin, where one day moves them all."""
    past = {column.name for column in inputs.column if column.reach is not None}
    past |= {
        name
        for name, reach in zip(inputs.schema.category, inputs.category_reach, strict=True)
        if reach is not None
    }
    return np.array([name.removesuffix("@origin") not in past for name in names], dtype=bool)


def _cutoffs(panel: Panel, fold: Fold, horizon: int) -> dict[str, Origins]:
    """The last horizons of the history of the asked series, as far as most of them have them."""
    series = np.unique(fold.asked.series)
    found = {}
    for back in range(1, CUTOFFS + 1):
        row = fold.train_end[series] - back * horizon
        enough = row > panel.offsets[series]
        if enough.mean() < 0.5:
            break
        found[f"cut-off {back}"] = Origins(series[enough], row[enough])
    return found


def _some(asked: Origins, most_rows: int, horizon: int, generator: np.random.Generator) -> Origins:
    """Whole origins, twice as many as give the rows that are wanted: which have how many is not known yet."""
    most = max(50, 2 * most_rows // horizon)
    if len(asked.row) <= most:
        return asked
    kept = np.sort(generator.permutation(len(asked.row))[:most])
    return Origins(asked.series[kept], asked.row[kept])


def same_at_a_time(parts: Sequence[Rows]) -> np.ndarray:
    """(columns,) bool: all series have the same value at the same time. False where none share a time."""
    feature = np.concatenate([rows.feature for rows in parts])
    time = np.concatenate([rows.time for rows in parts])
    order = np.argsort(time, kind="stable")
    pairs = np.flatnonzero(time[order][1:] == time[order][:-1])
    if not len(pairs):
        return np.zeros(feature.shape[1], dtype=bool)
    first, second = feature[order[pairs]], feature[order[pairs + 1]]
    same = ((first == second) | (np.isnan(first) & np.isnan(second))).all(axis=0)
    return np.asarray(same)
