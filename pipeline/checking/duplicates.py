"""The same data twice: groups with equal inputs, series with equal histories, futures elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.competition import Competition
from data.folds import Split
from data.panel import Panel
from pipeline.checking.finding import Finding

#: Odd, so that powers of it can be divided by modulo 2^64.
BASE = 0x9E3779B97F4A7C15
#: Rows that a series' end has to share with another series before what follows there is its future.
RUN = 32
#: Different values among them: short runs of zeros or of one price are equal by chance.
LEAST_VALUES = 8
#: Different rows that a group must have: constant ones are equal by chance.
LEAST_ROWS = 3
NAMED = 3


def duplicates(competition: Competition, panel: Panel, split: Split) -> tuple[dict[str, Any], list[Finding]]:
    """Exact repetitions; of groups by their inputs, of series by their known targets."""
    if competition.task == "sequence":
        return _groups(competition, panel, split)
    return _histories(panel, split)


def _groups(competition: Competition, panel: Panel, split: Split) -> tuple[dict[str, Any], list[Finding]]:
    roles = competition.columns
    columns = [name for name in (*roles.known_real, *roles.known_categorical) if name != competition.time]
    if not columns or panel.series < 2:
        return {"skipped": "no input changes within a group"}, []
    row = np.zeros(panel.rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for name in columns:
            row = mixed(row * np.uint64(BASE) + bits(panel.frame[name].to_numpy(np.float64)))
        length = np.diff(panel.offsets)
        place = np.arange(panel.rows) - np.repeat(panel.offsets[:-1], length)
        group = np.add.reduceat(mixed(row + mixed(place.astype(np.uint64))), panel.offsets[:-1])
        for static in panel.static:
            group = mixed(group * np.uint64(BASE) + bits(panel.static[static].to_numpy(np.float64)))
    owner = panel.series_of_row()
    new = np.concatenate([[True], (row[1:] != row[:-1]) | (owner[1:] != owner[:-1])])
    telling = np.bincount(owner[new], minlength=panel.series) >= LEAST_ROWS
    test = np.zeros(panel.series, dtype=bool)
    test[split.test.asked.series] = True
    labelled = telling & ~test
    copied = np.flatnonzero(test & telling & np.isin(group, group[labelled]))
    fold = np.full(panel.series, -1)
    for part in split.folds:
        fold[part.asked.series] = part.index
    in_folds = np.flatnonzero(labelled & (fold >= 0))
    apart = _in_two_folds(group[in_folds], fold[in_folds])
    result = {
        "test_groups_in_train": len(copied),
        "test_groups": int(test.sum()),
        "examples": [str(name) for name in panel.series_name[copied[:NAMED]]],
        "groups_in_two_folds": apart,
        "groups": len(in_folds),
    }
    findings = []
    if len(copied):
        findings.append(
            Finding(
                "duplicates",
                "warning",
                f"test groups stand in the training file too, with the same inputs: {_names(panel, copied)}",
                f"{len(copied):,} of {int(test.sum()):,} test groups",
                "their targets may be known, and models that know them by heart look good on them alone",
                "see whether equal training groups have equal targets; then copy them, else keep them apart",
            )
        )
    if apart:
        findings.append(
            Finding(
                "duplicates",
                "warning",
                "groups with the same inputs stand in different folds",
                f"{apart:,} of {len(in_folds):,} training groups",
                "a fold is then predicted by models that have seen its rows: cross-validation is too good",
                "keep them together: folds.group with a column that they share, or folds.kind=file",
            )
        )
    return result, findings


def _in_two_folds(group: np.ndarray, fold: np.ndarray) -> int:
    """Number of groups that have an equal one in another fold."""
    _, number = np.unique(group, return_inverse=True)
    if not len(number):
        return 0
    lowest = np.full(number.max() + 1, np.iinfo(np.int64).max)
    highest = np.full(number.max() + 1, -1)
    np.minimum.at(lowest, number, fold)
    np.maximum.at(highest, number, fold)
    return int((lowest != highest)[number].sum())


def _histories(panel: Panel, split: Split) -> tuple[dict[str, Any], list[Finding]]:
    end = split.test.train_end
    known = np.isfinite(panel.target).all(1) & panel.present & ~panel.test
    with np.errstate(over="ignore"):
        value = np.zeros(panel.rows, dtype=np.uint64)
        for index in range(panel.target.shape[1]):
            value = mixed(value * np.uint64(BASE) + bits(panel.target[:, index]))
    sums = _PrefixHash(value)
    begin = panel.offsets[:-1]
    long = np.flatnonzero(end - begin >= RUN)
    whole = sums.between(begin[long], end[long])
    changes = np.concatenate([[0], np.cumsum(np.concatenate([[False], value[1:] != value[:-1]]))])
    telling = changes[end[long]] - changes[begin[long]] >= LEAST_VALUES
    names, times = np.unique(whole[telling], return_counts=True)
    same = long[telling][np.isin(whole[telling], names[times > 1])]
    ahead = _futures_elsewhere(panel, split, sums, known, np.setdiff1d(np.arange(panel.series), same))
    result = {
        "equal_histories": len(same),
        "series": panel.series,
        "examples": [str(name) for name in panel.series_name[same[:NAMED]]],
        "futures_elsewhere": [
            {"series": str(panel.series_name[one]), "in": str(panel.series_name[other]), "rows": int(rows)}
            for one, other, rows in ahead
        ],
    }
    findings = []
    if len(same):
        findings.append(
            Finding(
                "duplicates",
                "warning",
                f"series have the same history to the last digit: {_names(panel, same)}",
                f"{len(same):,} of {panel.series:,} series",
                "they count twice in every fit and score, and their forecasts should be the same",
                "keep one of each, or forecast them as one",
            )
        )
    if ahead:
        one, other, rows = ahead[0]
        findings.append(
            Finding(
                "duplicates",
                "warning",
                f"the end of series {panel.series_name[one]} stands in the midst of"
                f" {panel.series_name[other]}, and {int(rows):,} rows follow there",
                f"{len(ahead):,} of {len(np.unique(split.test.asked.series)):,} asked series",
                "what follows may be what is asked: the future leaks, and no model forecasts it",
                "compare the two series; ask the rules whether you may use it, and leave them out of folds",
            )
        )
    return result, findings


def _futures_elsewhere(
    panel: Panel, split: Split, sums: _PrefixHash, known: np.ndarray, series: np.ndarray
) -> list[tuple[int, int, int]]:
    """(series, other series, rows that follow there) where the last RUN values stand in another's midst."""
    begin, end = panel.offsets[:-1], split.test.train_end
    asked = np.intersect1d(np.unique(split.test.asked.series), series)
    asked = asked[end[asked] - begin[asked] >= RUN]
    first = np.arange(max(0, panel.rows - RUN))
    owner = panel.series_of_row()
    gaps = np.concatenate([[0], np.cumsum(~known)])
    inside = (first + RUN < end[owner[first]]) & (gaps[first + RUN] == gaps[first])
    first = first[inside]
    hashes = sums.between(first, first + RUN)
    order = np.argsort(hashes, kind="stable")
    ends = sums.between(end[asked] - RUN, end[asked])
    low = np.searchsorted(hashes[order], ends, side="left")
    high = np.searchsorted(hashes[order], ends, side="right")
    found = []
    for one, start, stop in zip(asked.tolist(), low.tolist(), high.tolist(), strict=True):
        last = panel.target[end[one] - RUN : end[one]]
        if gaps[end[one]] - gaps[end[one] - RUN] or len(np.unique(last, axis=0)) < LEAST_VALUES:
            continue
        for row in first[order[start:stop]].tolist():
            other = int(owner[row])
            if other != one and np.array_equal(panel.target[row : row + RUN], last):
                found.append((one, other, int(end[other] - row - RUN)))
                break
    return found


class _PrefixHash:
    """Hashes of runs of (R,) values from one pass: sum of v_i B^i over the run, by B^first, mod 2^64."""

    def __init__(self, value: np.ndarray) -> None:
        with np.errstate(over="ignore"):
            self._power = self._powers(BASE, len(value))
            self._inverse = self._powers(pow(BASE, -1, 2**64), len(value))
            self._sum = np.concatenate(
                [np.zeros(1, np.uint64), np.cumsum(value * self._power[:-1], dtype=np.uint64)]
            )

    @staticmethod
    def _powers(base: int, count: int) -> np.ndarray:
        factors = np.full(count + 1, base, dtype=np.uint64)
        factors[0] = 1
        return np.cumprod(factors, dtype=np.uint64)

    def between(self, first: np.ndarray, end: np.ndarray) -> np.ndarray:
        """(N,) hashes of the runs first:end."""
        with np.errstate(over="ignore"):
            return np.asarray(mixed((self._sum[end] - self._sum[first]) * self._inverse[first]))


def bits(values: np.ndarray) -> np.ndarray:
    """(N,) uint64 of floats; 0 and -0 alike, all NaN alike."""
    values = np.where(np.isnan(values), np.nan, values + 0.0)
    return mixed(np.ascontiguousarray(values).view(np.uint64))


def mixed(word: np.ndarray) -> np.ndarray:
    """(N,) uint64 scrambled, one to one (splitmix64's last steps)."""
    with np.errstate(over="ignore"):
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))


def _names(panel: Panel, series: np.ndarray) -> str:
    shown = ", ".join(str(name) for name in panel.series_name[series[:NAMED]])
    return shown + (", ..." if len(series) > NAMED else "")
