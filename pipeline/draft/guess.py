"""All guesses of a draft, in the order of the competition YAML, each with its reason."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from data.errors import InputError
from pipeline.draft.clock import Clock, find_dates, find_steps, parse, seasons
from pipeline.draft.guesses import Guesses
from pipeline.draft.identity import Identity, identify
from pipeline.draft.roles import Roles, assign_roles
from pipeline.draft.scores import set_scores
from pipeline.draft.tables import DraftTables, codes_of, is_text, is_whole, nameable

_MOST_SERIES_COLUMNS = 3


def guess(name: str, tables: DraftTables) -> Guesses:
    """Every key. Raises InputError where the files allow no sensible guess, saying what was looked for."""
    identity = identify(tables)
    clock, series, series_reason = _clock_and_series(tables, identity)
    task, task_reason = _task(tables, series, clock)
    roles = assign_roles(tables, identity, clock, series, task)
    guesses = Guesses(name)
    guesses.set("task", task, task_reason)
    _set_identity(guesses, identity)
    guesses.set("series", series, series_reason)
    _set_clock(guesses, clock)
    _set_target(guesses, tables, identity)
    if task == "sequence" and clock is not None and not clock.dated:
        _set_elapsed(guesses, clock, roles)
    guesses.set("columns", roles.columns, "")
    guesses.entries["columns.reasons"] = (roles.reasons, "")
    _set_lengths(guesses, tables, series, clock, task)
    set_scores(guesses, tables, identity, roles, task)
    _set_folds(guesses, tables, series, clock, task)
    words = "the sample's columns" if tables.sample is not None else ""
    guesses.set("submission", _submission(identity), words)
    guesses.entries["solution"] = (_has_truth(tables, identity.target), "")
    _set_models(guesses, clock, roles, task)
    return guesses


def _clock_and_series(tables: DraftTables, identity: Identity) -> tuple[Clock | None, list[str], str]:
    """The time column, and the columns that name a series."""
    unique = {name for name in identity.row_id if len(identity.row_id) == 1 and tables.both(name).is_unique}
    excluded = unique | set(identity.target)
    dates = find_dates(tables, excluded)
    for clock in dates:
        found = _series_of(tables, clock, excluded | {other.column for other in dates})
        if found is not None:
            others = tuple(other.column for other in dates if other.column != clock.column)
            return Clock(**{**clock.__dict__, "others": others}), *found
    steps = find_steps(tables, excluded)
    if steps is not None:
        group, clock = steps
        return clock, [group], f"its rows stand together in the file, and {clock.column} counts them"
    raise InputError(
        f"train={tables.paths['train']}: found no time column: neither dates that are unique "
        "in a series nor a number that counts the rows of a group; columns are "
        f"{', '.join(map(str, tables.train.columns))}"
    )


def _series_of(tables: DraftTables, clock: Clock, excluded: set[str]) -> tuple[list[str], str] | None:
    """The fewest columns with which the time is unique in train; of equals, those with the fewest series."""
    table = tables.train
    names = [
        name
        for name in table.columns
        if name not in excluded
        and tables.shared(name)
        and (is_text(table[name]) or is_whole(table[name]))
        and table[name].notna().all()
        and 1 < table[name].nunique() <= max(2, len(table) // 3)
    ]
    for count in range(_MOST_SERIES_COLUMNS + 1):
        fitting = []
        for columns in itertools.combinations(names, count):
            if not table.duplicated([*columns, clock.column]).any():
                fitting.append((int(codes_of(table, columns).max()) + 1, columns))
        if fitting:
            total, columns = min(fitting, key=lambda item: item[0])
            if not columns:
                return [], f"no column: {clock.column} is unique, so there is one series"
            others = [" + ".join(other) for _, other in sorted(fitting)[1:4]]
            reason = f"with them each {clock.column} stands once; {total} series"
            return list(columns), reason + (f"; considered too: {', '.join(others)}" if others else "")
    return None


def _task(tables: DraftTables, series: list[str], clock: Clock | None) -> tuple[str, str]:
    test = tables.test
    if test is None or clock is None:
        return "horizon", "no test file: the rows after each series' end are asked"
    if not series:
        return "horizon", "one series, and the test file goes on with it"
    both = pd.concat([tables.train[series], test[series]], ignore_index=True)
    code = codes_of(both, series)
    known = np.isin(np.unique(code[len(tables.train) :]), code[: len(tables.train)])
    share = float(known.mean())
    if share < 0.5:
        return (
            "sequence",
            f"{share:.0%} of the test file's groups are in the training file: each is predicted whole",
        )
    after = parse(test[clock.column], clock).min() > parse(tables.train[clock.column], clock).quantile(0.5)
    when = "later in time" if after else "although not later in time: check this"
    return "horizon", f"{share:.0%} of the test file's series are in the training file, {when}"


def _set_identity(guesses: Guesses, identity: Identity) -> None:
    guesses.set("row_id", identity.row_id, identity.row_id_reason)
    if len(identity.row_id) > 1:
        guesses.set("row_id_separator", identity.separator)


def _set_clock(guesses: Guesses, clock: Clock | None) -> None:
    assert clock is not None
    others = f"; considered too: {', '.join(clock.others)}" if clock.others else ""
    guesses.set("time", clock.column, ("dates" if clock.dated else "counts the rows of a series") + others)
    also = f"; {clock.also_format} reads every value too" if clock.also_format else ""
    form = "ISO dates" if clock.date_format is None else "reads every value"
    guesses.set("date_format", clock.date_format, f"{form}{also}" if clock.dated else "no dates")
    if not clock.dated:
        guesses.set("frequency", None, "time is a number, not a date")
    elif clock.frequency is None:
        guesses.set("frequency", None, "no usual step between neighbouring dates: irregular")
    else:
        words = f"{clock.regular:.0%} of neighbouring dates are one step apart"
        guesses.set(
            "frequency", clock.frequency, words + ("" if clock.regular > 0.99 else "; gaps are filled")
        )


def _set_elapsed(guesses: Guesses, clock: Clock, roles: Roles) -> None:
    if nameable(clock.column):
        guesses.set("derive", {"elapsed": clock.column}, "the time inside a group as an input")
        roles.columns["known_real"].insert(0, "elapsed")
    else:
        words = f"the time inside a group is no input: no expression can name {clock.column!r}; rename it in"
        guesses.set("derive", {}, f"{words} the files for `derive: {{elapsed: ...}}`")


def _set_target(guesses: Guesses, tables: DraftTables, identity: Identity) -> None:
    guesses.set("target", identity.target, identity.target_reason)
    missing = int(tables.train[identity.target].isna().any(axis=1).sum())
    if missing:
        guesses.set(
            "missing_target", "unjudged", f"{missing} training rows have no target: they get weight 0"
        )


def _set_lengths(
    guesses: Guesses, tables: DraftTables, series: list[str], clock: Clock | None, task: str
) -> None:
    assert clock is not None
    rows = int(np.median(np.bincount(codes_of(tables.train, series))))
    if task == "sequence":
        guesses.set("horizon", None, "groups are given and predicted whole")
        guesses.set("seasonality", [], "")
        return
    periods, horizon = seasons(clock.frequency, rows)
    if tables.test is not None:
        asked = int(np.bincount(codes_of(tables.test, series)).max())
        guesses.set("horizon", None, f"as long as the test file asks: {asked} rows of a series")
    else:
        horizon = min(horizon, max(1, rows // 4))
        words = "usual for the frequency" if clock.frequency else "a tenth of a series"
        guesses.set("horizon", horizon, f"{words}; set what is asked")
    if clock.frequency is None:
        periods = _measured_season(tables, series, guesses.value("target")[0], rows)
        guesses.set(
            "seasonality", periods, "the lag at which series resemble themselves most" if periods else "none"
        )
    else:
        guesses.set("seasonality", periods, "in rows, by the frequency")


def _measured_season(tables: DraftTables, series: list[str], target: str, rows: int) -> list[int]:
    """The usual seasonal lag with the highest mean autocorrelation of differences, if it is above 0.3."""
    code = codes_of(tables.train, series)
    values = tables.train[target].to_numpy(dtype=float)
    lags = [lag for lag in (4, 5, 7, 12, 24, 48, 52, 96) if 3 * lag <= rows]
    found = np.zeros(len(lags))
    chosen = np.unique(code)[:50]
    for one in chosen:
        difference = np.diff(values[code == one])
        difference = difference[np.isfinite(difference)]
        for index, lag in enumerate(lags):
            if len(difference) > 2 * lag and difference[lag:].std() > 0 and difference[:-lag].std() > 0:
                found[index] += np.corrcoef(difference[lag:], difference[:-lag])[0, 1] / len(chosen)
    return [lags[int(found.argmax())]] if len(lags) and found.max() > 0.3 else []


def _set_folds(
    guesses: Guesses, tables: DraftTables, series: list[str], clock: Clock | None, task: str
) -> None:
    if task == "sequence":
        guesses.set(
            "folds",
            {"kind": "grouped", "count": 5},
            "groups are new in the test file, so folds hold out groups",
        )
        guesses.set(
            "local", {"kind": "groups", "share": 0.1}, "a tenth of the groups, kept out of everything"
        )
        return
    lengths = np.bincount(codes_of(tables.train, series))
    asked = guesses.value("horizon")
    if asked is None and tables.test is not None:
        asked = int(np.bincount(codes_of(tables.test, series)).max())
    asked = int(asked or 1)
    room = int(np.median(lengths)) // asked - 2  # one for the local hold-out, one to learn from
    count = max(1, min(3, room))
    reason = f"the last {count} x {asked} rows before the hold-out, each predicted from what came before"
    guesses.set("folds", {"kind": "rolling", "count": count}, reason)
    if room < 1:
        guesses.set(
            "local",
            {"kind": "none"},
            f"series of {int(np.median(lengths))} rows leave no room for a hold-out",
        )
        return
    if _has_truth(tables, guesses.value("target")):
        guesses.set("local", {"kind": "solution"}, "the test file holds the target")
        return
    local = {"kind": "horizon"}
    words = "the last rows of every series, cut like the test set"
    if tables.test is not None and series:
        both = pd.concat([tables.train[series], tables.test[series]], ignore_index=True)
        code = codes_of(both, series)
        asked_series = len(np.unique(code[len(tables.train) :]))
        if asked_series < len(lengths):
            local["series"] = "test"
            words = (
                f"the last rows of the {asked_series} series that the test file asks for, of {len(lengths)}"
            )
    guesses.set("local", local, words)


def _has_truth(tables: DraftTables, target: list[str]) -> bool:
    """Whether the test file holds the target, so that it is a solution as well."""
    test = tables.test
    return test is not None and all(name in test.columns and test[name].notna().all() for name in target)


def _submission(identity: Identity) -> dict[str, Any]:
    layout: dict[str, Any] = {"row_id": identity.submission_row_id}
    if identity.submission_target:
        layout["target"] = list(identity.submission_target)
    return layout


def _set_models(guesses: Guesses, clock: Clock | None, roles: Roles, task: str) -> None:
    """Feature families and baselines that suit the task; those that this installation has."""
    from features.base import FEATURES

    wanted: dict[str, Any] = {}
    if task == "sequence" and roles.columns["known_real"]:
        wanted = {"cumulative": {}, "shift": {}, "difference": {}}
    elif task == "horizon":
        season = (guesses.value("seasonality") or [7])[0]
        wanted = {"calendar": {}} if clock is not None and clock.dated else {}
        wanted |= {"fourier": {}} if guesses.value("seasonality") else {}
        wanted |= {"lags": {}, "rolling": {"windows": [season, 4 * season]}}
    there = FEATURES.names()
    guesses.set(
        "features", {name: settings for name, settings in wanted.items() if name in there}, "list=features"
    )
    if task == "sequence":
        by = [*roles.columns["static_categorical"], "step"]
        guesses.set("baselines", {"group_median": {"by": by}}, "scored beside every run")
    else:
        guesses.set("baselines", {"seasonal_naive": {}}, "scored beside every run")
