"""The competition's own row ids: composed of columns, compared with the sample, matched with the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.assemble import assemble
from data.calendar_grid import in_utc
from data.coding import NotReal, real, stamp_texts, text_of
from data.competition import Competition
from data.errors import InputError, nearest
from data.expression import check_expression, evaluate
from data.panel import Panel
from data.raw_tables import RawTables, id_columns, text_columns
from data.tables import missing_columns, typed


def compose(frame: pd.DataFrame, columns: list[str], separator: str) -> np.ndarray:
    """(N,) str: the id of each row; several columns are joined by the separator."""
    parts = []
    for name in columns:
        column = frame[name]
        if column.dtype.kind in "biufM":
            codes, uniques = pd.factorize(column)
            texts = np.array([text_of(value) for value in uniques] + [""], dtype=object)
            parts.append(texts[codes])
        else:
            parts.append(column.fillna("").to_numpy(dtype=object))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + separator + part
    return joined


def sample_id_columns(competition: Competition) -> list[str]:
    """Id columns of the submission."""
    return [competition.submission.row_id] if competition.submission.row_id else id_columns(competition)


def sample_targets(competition: Competition) -> list[str]:
    """Prediction columns of the submission."""
    return list(competition.submission.target) or list(competition.target)


def sample_keys(sample: pd.DataFrame, competition: Competition) -> np.ndarray:
    """(N,) str: of each row of a sample the id that its test row has in the panel.

    That is the id as it is written, but for times: `2020-01-03 00:00:00` is the test file's 2020-01-03.
    """
    columns = sample_id_columns(competition)
    times = {name: _texts_of_times(sample[name]) for name in time_columns(competition)}
    return compose(sample[columns].assign(**times), columns, competition.row_id_separator)


def _texts_of_times(values: pd.Series) -> np.ndarray:
    """(N,) str: times, however written, as `compose` writes those of the test file."""
    codes, uniques = pd.factorize(values)
    texts = compose(in_utc(typed(pd.Series(uniques))).to_frame("time"), ["time"], "")
    return np.array([*texts, ""], dtype=object)[codes]


def time_columns(competition: Competition) -> list[str]:
    """Id columns of the submission with times, where the test file is not read with these as text."""
    time = competition.time
    if time is None or time in text_columns(competition):
        return []
    columns = sample_id_columns(competition)
    return columns if id_columns(competition) == [time] else [name for name in columns if name == time]


def written(values: pd.Series) -> np.ndarray:
    """(N,) str: an id column as a submission has it; text as it stands, dates all in one form."""
    return stamp_texts(values) if values.dtype.kind == "M" else compose(values.to_frame("id"), ["id"], "")


def check_unique(identity: np.ndarray, file: str, columns: list[str]) -> None:
    """InputError for an id that is empty or stands twice, with both rows."""
    empty = identity == ""
    if empty.any():
        raise InputError(f"{file}: row {int(np.argmax(empty)) + 1}: empty id in {' + '.join(columns)}")
    doubled = pd.Series(identity).duplicated().to_numpy()
    if doubled.any():
        second = int(np.argmax(doubled))
        first = int(np.argmax(identity == identity[second]))
        raise InputError(
            f"{file}: {'_'.join(columns)} {identity[second]!r} stands twice, in rows {first + 1} and"
            f" {second + 1}; expected unique row ids ({int(doubled.sum())} doubled)"
        )


def check_sample(tables: RawTables, asked: np.ndarray) -> None:
    """The sample submission must have exactly the ids `asked`, once each, and the declared columns."""
    if tables.sample is None:
        return
    competition, file = tables.competition, tables.name("sample")
    columns, targets = sample_id_columns(competition), sample_targets(competition)
    missing_columns(tables.sample, [*columns, *targets], file)
    extra = [name for name in tables.sample.columns if name not in (*columns, *targets)]
    if extra:
        raise InputError(
            f"{file}: column {extra[0]!r} is not part of the submission;"
            f" expected {', '.join([*columns, *targets])} (submission.row_id, submission.target)"
        )
    given = sample_keys(tables.sample, competition)
    check_unique(given, file, columns)
    compare_ids(given, asked, file, tables.name("test"))


def compare_ids(given: np.ndarray, asked: np.ndarray, file: str, asked_file: str) -> None:
    """InputError unless both have the same ids; names one that is missing or too much."""
    there = pd.Index(given)
    absent = ~pd.Index(asked).isin(there)
    extra = ~there.isin(pd.Index(asked))
    if absent.any():
        example = asked[int(np.argmax(absent))]
        near = nearest(example, given[:5000], count=1)
        hint = f"; nearest there: {near[0]!r}" if near else ""
        raise InputError(
            f"{file}: id {example!r} of {asked_file} is missing ({int(absent.sum())} of {len(asked)} ids"
            f" missing, {int(extra.sum())} not asked{hint})"
        )
    if extra.any():
        row = int(np.argmax(extra))
        raise InputError(
            f"{file}: row {row + 1}: id {given[row]!r} is not in {asked_file} ({int(extra.sum())} such ids)"
        )


def read_solution(tables: RawTables, panel: Panel) -> pd.DataFrame:
    """The truth of the test rows, where the competition has it; only scoring may see it.

    Columns: row_id (panel row, ascending), one float column per target (NaN where the truth is missing),
    and `weight`: the panel's, but with `judged` evaluated on the truth (0 where it is missing).
    Raises InputError where ids or columns do not match the test rows, and for a value that is no number.
    """
    competition, file = tables.competition, tables.name("solution")
    if tables.solution is None:
        raise InputError(
            f"competition {competition.name}: files.solution is not declared, so there is no truth"
        )
    ids = id_columns(competition)
    columns = ids if set(ids) <= set(tables.solution.columns) else sample_id_columns(competition)
    names = _truth_columns(tables.solution, competition)
    missing_columns(tables.solution, [*columns, *names], file)
    given = compose(tables.solution, columns, competition.row_id_separator)
    check_unique(given, file, columns)
    rows = np.flatnonzero(panel.test)
    compare_ids(given, panel.official_id[rows], file, tables.name("test"))
    place = pd.Index(given).get_indexer(pd.Index(panel.official_id[rows]))
    truth = pd.DataFrame({"row_id": rows})
    for target, name in zip(competition.target, names, strict=True):
        try:
            truth[target] = real(tables.solution[name])[place]
        except NotReal as bad:
            raise InputError(
                f"{file}: row {bad.row + 1}: column {name!r}: found {bad.found!r}, expected {bad.expected}"
            ) from None
    weight = panel.weight[rows].astype(np.float64)
    weight *= _judged_by_truth(tables, panel, truth)
    truth["weight"] = np.where(truth[competition.target].isna().any(axis=1), 0.0, weight)
    return truth


def note_unknown_truth(tables: RawTables) -> list[str]:
    """A line that counts the test rows without a truth, since the local score leaves them out."""
    if tables.solution is None:
        return []
    names = [
        name
        for name in _truth_columns(tables.solution, tables.competition)
        if name in tables.solution.columns
    ]
    missing = tables.solution[names].isna().any(axis=1).to_numpy()
    if not missing.any():
        return []
    return [
        f"{tables.name('solution')}: {int(missing.sum())} of {len(missing)} rows without a value (first: row"
        f" {int(np.argmax(missing)) + 1}); they are not judged"
    ]


def _truth_columns(solution: pd.DataFrame, competition: Competition) -> list[str]:
    """The solution's columns of the targets: named as in the training file, else as in the submission."""
    names = competition.target
    return names if set(names) <= set(solution.columns) else sample_targets(competition)


def _judged_by_truth(tables: RawTables, panel: Panel, truth: pd.DataFrame) -> np.ndarray:
    """(N,) bool: `judged` of the test rows once the target is known."""
    judged, target = tables.competition.judged, tables.competition.target
    if not judged or not set(check_expression(judged, None, "judged")) & set(target):
        return np.ones(len(truth), dtype=bool)
    rows = assemble(tables)
    asked = rows.frame.iloc[rows.train_count :].reset_index(drop=True)
    identity = compose(asked, id_columns(tables.competition), tables.competition.row_id_separator)
    place = pd.Index(panel.official_id[truth["row_id"]]).get_indexer(pd.Index(identity))
    for name in target:
        asked[name] = truth[name].to_numpy()[place]
    held = evaluate(judged, asked, where="judged")
    by_truth = np.empty(len(truth), dtype=bool)
    by_truth[place] = held
    return by_truth
