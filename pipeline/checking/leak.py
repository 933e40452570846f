"""Leak suspicion: one column that gives the target away."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from pipeline.checking.boosting import binned, boosted, explained
from pipeline.checking.finding import Finding
from pipeline.checking.sample import Sample

#: A column that explains so much of the target by itself is the target in other words, or nearly.
ALL = 0.98
#: One that explains this much is suspicious if what it leaves open is far less than all others do.
MUCH = 0.9
TIMES = 4.0
LEAST_ROWS = 200
SHOWN = 10


def leaks(sample: Sample, horizon: bool, most_rows: int, seed: int) -> tuple[dict[str, Any], list[Finding]]:
    """How much of the target's ranks each known column explains alone, out of fold, on judged training rows.

    In horizon tasks within series: the level of a series is known from its history, so it is taken off the
    target, and for a second look off the column too. Columns that are the same for all series at a time are
    no suspects: a season may explain everything.
    """
    inputs, panel = sample.inputs, sample.panel
    rows = panel.rows
    judged = inputs.observed[:rows].all(1) & (inputs.weight[:rows] > 0) & ~panel.test
    row = np.flatnonzero(judged)
    if len(row) > most_rows:
        row = np.sort(np.random.default_rng([seed, 5]).permutation(row)[:most_rows])
    series = inputs.series_of(row)
    if len(row) < LEAST_ROWS:
        return {"skipped": f"fewer than {LEAST_ROWS} judged rows", "columns": {}}, []
    columns = _columns(sample, row, series, horizon)
    # Rows of a series are drawn together, unless there are too few of them to leave some out.
    unit = series if len(np.unique(series)) >= 20 else panel.time[row] // max(1, inputs.schema.horizon)
    result: dict[str, Any] = {"rows": len(row), "columns": {}}
    findings: list[Finding] = []
    for index, name in enumerate(panel.target_name):
        target = inputs.target[row, index].astype(np.float64)
        label = rankdata(_within(target, series) if horizon else target) / len(row)
        scores = {
            column: _score(values, label, unit, series, horizon, seed) for column, values in columns.items()
        }
        ordered = dict(sorted(scores.items(), key=lambda item: -item[1]))
        result["columns"][name] = {column: round(score, 4) for column, score in list(ordered.items())[:SHOWN]}
        for column, score in ordered.items():
            if score < MUCH:
                break
            rest = None
            if score < ALL:
                rest = _rest(columns, column, label, unit, seed)
                if 1 - rest < TIMES * (1 - score):
                    continue
            findings.append(_finding(column, name, score, rest))
    return result, findings


def _columns(sample: Sample, row: np.ndarray, series: np.ndarray, horizon: bool) -> dict[str, np.ndarray]:
    """Column: (N,) values of what is known ahead and differs from row to row by more than time."""
    inputs, schema = sample.inputs, sample.inputs.schema
    by_time = {name for name, flag in zip(sample.column, sample.by_time, strict=True) if flag}
    found: dict[str, np.ndarray] = {}
    for index, column in enumerate(inputs.column):
        if column.reach is None and not column.name.startswith(("available.", "missing.")):
            found[column.name] = inputs.real[row, index]
    for index, name in enumerate(schema.category):
        if inputs.category_reach[index] is None:
            found[name] = inputs.category[row, index].astype(np.float32)
    if not horizon:
        for index, name in enumerate(schema.static_real):
            found[name] = inputs.static_real[series, index]
        for index, name in enumerate(schema.static_category):
            found[name] = inputs.static_category[series, index].astype(np.float32)
    return {
        name: values for name, values in found.items() if name not in by_time and len(np.unique(values)) > 1
    }


def _within(values: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(N,) less the mean of each series; missing values stay so."""
    known = np.isfinite(values)
    most = int(series.max()) + 1
    total = np.bincount(series[known], values[known], most)
    count = np.maximum(np.bincount(series[known], minlength=most), 1)
    return np.asarray(values - (total / count)[series])


def _score(
    values: np.ndarray, label: np.ndarray, unit: np.ndarray, series: np.ndarray, horizon: bool, seed: int
) -> float:
    views = [values, _within(values.astype(np.float64), series)] if horizon else [values]
    return max(explained(label, binned(view, label, unit, seed)) for view in views)


def _rest(
    columns: dict[str, np.ndarray], without: str, label: np.ndarray, unit: np.ndarray, seed: int
) -> float:
    """What all other columns explain together."""
    others = [values for name, values in columns.items() if name != without]
    if not others:
        return 0.0
    return explained(label, boosted(np.column_stack(others), label, unit, "regression", seed)[0])


def _finding(column: str, target: str, score: float, rest: float | None) -> Finding:
    figure = f"R\N{SUPERSCRIPT TWO} of ranks {score:.3f}, out of fold"
    if rest is not None:
        figure += f"; all other columns together {max(rest, 0.0):.3f}"
    return Finding(
        "leak",
        "warning" if rest is None else "note",
        f"the column {column} alone gives {target} away",
        figure,
        "such a column is often made from the target, and then test rows have it otherwise or not",
        f"find out when {column} is known; if too late, put it under columns.past_real or columns.ignored",
    )
