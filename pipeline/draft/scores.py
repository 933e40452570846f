"""Guesses about the target: its transform, the metric, rows that do not count, and post-processing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipeline.draft.guesses import Guesses
from pipeline.draft.identity import Identity
from pipeline.draft.roles import Roles
from pipeline.draft.tables import DraftTables, is_whole, nameable


class _Closed(NamedTuple):
    """A flag's value that forces the target to 0, on so many rows: a shop is closed."""

    column: str
    value: int
    rows: int

    def words(self) -> str:
        return f"the target is 0 on all {self.rows} rows with {self.column} = {self.value}"


def set_scores(guesses: Guesses, tables: DraftTables, identity: Identity, roles: Roles, task: str) -> None:
    """Target transform, metric, judged rows and post-processing."""
    target = tables.train[identity.target[0]]
    values = target.dropna().to_numpy(dtype=float)
    lowest = float(values.min())
    flags = list(_closed(tables, identity.target[0], roles)) if lowest >= 0 else []
    closed = next((flag for flag in flags if nameable(flag.column)), None)
    judged = values[values > 0] if closed else values
    spread = float(judged.std())
    skew = float(((judged - judged.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0
    skewed = lowest >= 0 and skew > 1 and task == "horizon"
    if skewed:
        reason = (
            f"never negative and skewed to the right (skewness {skew:.1f}); none and sqrt were considered"
        )
        guesses.set("target_transform", "log1p", reason)
    else:
        why = f"lowest value {lowest:g}, skewness {skew:.1f}"
        guesses.set("target_transform", "none", f"{why}; log1p is for positive values skewed to the right")
    metric = "rmsle" if skewed else "mae"
    guesses.set(
        "metric",
        [{"name": metric}],
        "A GUESS: the files cannot tell. Set what the competition's page says; list=metrics",
    )
    _set_judged(guesses, closed, flags)
    post: list[dict[str, Any]] = []
    if lowest >= 0:
        post.append({"kind": "clip", "settings": {"low": 0}})
    if closed:
        post.append({"kind": "zero_where", "settings": {"where": f"{closed.column} == {closed.value}"}})
    words = (
        "the target is never negative" if lowest >= 0 else f"the target goes down to {lowest:g}: no clipping"
    )
    if is_whole(target):
        words += "; it is whole everywhere: `kind: integer` would round"
    guesses.set("post", post, words)


def _set_judged(guesses: Guesses, closed: _Closed | None, flags: list[_Closed]) -> None:
    if closed:
        guesses.set("judged", f"{closed.column} != {closed.value}", closed.words())
    elif flags:
        words = f"every row counts; {flags[0].words()}, but no expression can name that column:"
        guesses.set("judged", None, f"{words} rename it in the files to leave these rows out")
    else:
        guesses.set("judged", None, "every row counts")


def _closed(tables: DraftTables, target: str, roles: Roles) -> Iterator[_Closed]:
    """Known flags that force the target to 0."""
    values = tables.train[target].to_numpy(dtype=float)
    for name in (*roles.columns["known_categorical"], *roles.columns["known_real"]):
        if name not in tables.train or not is_whole(tables.train[name]) or tables.train[name].nunique() != 2:
            continue
        flag = tables.train[name].to_numpy(dtype=float)
        for value in np.unique(flag[np.isfinite(flag)]):
            rows = flag == value
            if np.all(values[rows] == 0) and np.mean(values[~rows] == 0) < 0.1:
                yield _Closed(name, int(value), int(rows.sum()))
