"""Other test rows than a submission's, coded as the rows that its models were fitted on.

A panel is built of the files as they are now, and then spoken of in the fitted panel's words: its codes of
categories, its numbers of series, its count of time, its horizon. Nothing is fitted. In sequence tasks, where
groups know nothing of each other, a few training groups stand for all of them: they only show what the
columns are like.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data.build_panel import panel_of
from data.calendar_grid import BadTime, clock_of
from data.coding import text_codes
from data.competition import Competition
from data.errors import InputError
from data.folds import Fold, Origins, Split
from data.official_id import compose, sample_id_columns, sample_keys, sample_targets
from data.panel import Panel
from data.raw_tables import RawTables, id_columns, read_competition
from data.split import history_end, horizon_of, test_part
from data.tables import find_table
from pipeline.stages.prepare import Prepared

NO_ORIGINS = Origins(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def with_files(own: Competition, given: Competition, folder: Path) -> Competition:
    """The competition of a submission with the files that a command names instead of its own.

    A name is that of a file in `folder`, the competition's, or a path. The truth of the old test rows has
    nothing to do with new ones.
    """
    made = copy.deepcopy(own)
    for key in ("train", "test", "sample"):
        name = getattr(given.files, key)
        if name is not None and name != getattr(own.files, key) and find_table(folder, name) is None:
            name = str(Path(name).resolve()) if Path(name).exists() else name
        setattr(made.files, key, name)
    made.files.solution = None
    if made.local.kind == "solution":
        made.local.kind = "none"
    return made


def read_tables(competition: Competition, folder: Path, columns: list[str]) -> RawTables:
    """The raw tables, with a sample submission whose rows are those of the test file.

    columns: of the submission. The competition's own sample is taken where it is that of these test rows.
    """
    optional = copy.deepcopy(competition)
    if optional.files.sample is not None and find_table(folder, optional.files.sample) is None:
        optional.files.sample = None
    tables = read_competition(optional, folder)
    if tables.test is None:
        return tables
    ids, own = sample_id_columns(competition), id_columns(competition)
    identity = compose(tables.test, own, competition.row_id_separator)
    if tables.sample is not None:
        there = all(name in tables.sample.columns for name in ids)
        if there and set(sample_keys(tables.sample, competition)) == set(identity):
            return tables
    values = {name: tables.test[name] for name in ids} if ids == own else {ids[0]: identity}
    sample = pd.DataFrame(values).assign(**dict.fromkeys(sample_targets(competition), 0.0))
    return replace(tables, sample=sample[columns])


def rows_that_show(tables: RawTables, fitted: Panel) -> RawTables:
    """Sequence tasks: the same with a few training groups, among which every category is, and the longest.

    All of them where a table of one series, or of a reader of its own kind, does not say which rows they are.
    """
    competition = tables.competition
    if competition.task != "sequence" or not set(competition.series) <= set(tables.train.columns):
        return tables
    kept = pd.Index(fitted.series_name[_telling_series(fitted)])
    chosen = np.asarray(pd.Index(series_names(tables.train, competition)).isin(kept))
    return replace(tables, train=tables.train[chosen].reset_index(drop=True)) if chosen.any() else tables


def series_names(table: pd.DataFrame, competition: Competition) -> np.ndarray:
    """(N,) the name that each row's series has in the panel."""
    joined: np.ndarray | None = None
    for name in competition.series:
        codes, texts = text_codes(table[name])
        own = np.array([*texts, ""], dtype=object)[codes]
        joined = own if joined is None else joined + competition.row_id_separator + own
    assert joined is not None
    return joined


def new_panel(tables: RawTables, fitted: Prepared) -> Panel:
    """The panel of other rows, in the codes of the fitted one. InputError for what models cannot be given."""
    panel = recoded(panel_of(tables), fitted.panel, fitted.competition.frequency)
    if fitted.competition.task == "sequence":
        longest = horizon_of(fitted.competition, panel)
        if longest > fitted.horizon:
            at = int(np.argmax(np.diff(panel.offsets)))
            raise InputError(
                f"{tables.name('test')}: series {panel.series_name[at]!r} has {longest} rows; the models were"
                f" fitted on groups of {fitted.horizon} rows at most"
            )
    return panel


def recoded(panel: Panel, fitted: Panel, frequency: str | None = None) -> Panel:
    """`panel` with the codes of `fitted`: a category that was not there then is 0, as a missing one is.

    Series keep their places in `panel`, with their numbers in `fitted` beside them. frequency: of the
    competition, by which time goes on where the panels have no date in common.
    """
    frame, static = panel.frame.copy(), panel.static.copy()
    notes = list(panel.notes)
    for name, own in panel.categories.items():
        known = {text: code for code, text in enumerate(fitted.categories[name], start=1)}
        table = np.array([0, *(known.get(text, 0) for text in own)], dtype=np.int32)
        place = frame if name in frame else static
        codes = place[name].to_numpy()
        lost = (codes > 0) & (table[codes] == 0)
        if lost.any():
            example = own[int(codes[int(np.argmax(lost))]) - 1]
            notes.append(
                f"{name}: {example!r} was not there when the models were fitted ({int(lost.sum())} rows)"
            )
        place[name] = table[codes]
    return replace(
        panel,
        frame=frame,
        static=static,
        categories=dict(fitted.categories),
        fitted_series=same_series(panel, fitted),
        time=panel.time + _moved(panel, fitted, frequency),
        notes=tuple(notes),
    )


def same_series(panel: Panel, fitted: Panel) -> np.ndarray:
    """(S,) int64: the fitted panel's number of each series, -1 of one that it does not have."""
    return pd.Index(fitted.series_name).get_indexer(pd.Index(panel.series_name)).astype(np.int64)


def new_split(panel: Panel, fitted: Prepared) -> Split:
    """The parts that were fitted on, in the new panel's rows; and the new test rows.

    Of a part only that matters by now which series it was fitted on.
    """
    old, split = fitted.panel, fitted.split
    begin, end = panel.offsets[:-1], history_end(panel)
    number = panel.series_when_fitted()

    def moved(fold: Fold) -> Fold:
        rows = (fold.train_end - old.offsets[:-1])[np.maximum(number, 0)]
        train_end = np.where(number >= 0, np.minimum(begin + rows, end), begin)
        return Fold(fold.index, fold.name, fold.label, train_end, NO_ORIGINS)

    test = test_part(fitted.competition, panel, end, fitted.horizon)
    test = replace(test, train_end=moved(split.test).train_end)
    return Split(tuple(map(moved, split.folds)), moved(split.local) if split.local else None, test)


def _telling_series(panel: Panel) -> np.ndarray:
    """(n,) training series among which every category of every column is, and the longest of them."""
    trained = np.zeros(panel.series, dtype=bool)
    owner = panel.series_of_row()
    rows = np.flatnonzero(panel.present & ~panel.test)
    trained[owner[rows]] = True
    length = np.where(trained, np.diff(panel.offsets), -1)
    chosen = [np.array([int(np.argmax(length))])]
    for name in panel.categories:
        if name in panel.frame:
            _, first = np.unique(panel.frame[name].to_numpy()[rows], return_index=True)
            chosen.append(owner[rows[first]])
        else:
            series = np.flatnonzero(trained)
            _, first = np.unique(panel.static[name].to_numpy()[series], return_index=True)
            chosen.append(series[first])
    return np.unique(np.concatenate(chosen))


def _moved(panel: Panel, fitted: Panel, frequency: str | None) -> int:
    """Steps by which time counts on: a training file that begins later counts from a later row."""
    if panel.timestamp is None or fitted.timestamp is None:
        return 0
    common, here, there = np.intersect1d(panel.timestamp, fitted.timestamp, return_indices=True)
    if len(common):
        return int(fitted.time[there[0]] - panel.time[here[0]])
    if frequency is None:
        return 0
    rows = int(np.argmin(fitted.timestamp)), int(np.argmin(panel.timestamp))
    dates = np.array([fitted.timestamp[rows[0]], panel.timestamp[rows[1]]])
    try:
        then, now = clock_of(dates, frequency, "competition.frequency").steps(dates)
    except BadTime:  # dates between those of the models: no step of theirs is one of these
        return 0
    return int(fitted.time[rows[0]] - then + now - panel.time[rows[1]])
