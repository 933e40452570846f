"""Drift: how far each column, and the target, is distributed otherwise where it counts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.checking.adversarial import LEAST_UNITS
from pipeline.checking.distance import MUCH, Values, distance, drifts
from pipeline.checking.finding import Finding
from pipeline.checking.sample import Rows, Sample

SHOWN = 5


def drift(sample: Sample) -> tuple[dict[str, Any], list[Finding]]:
    """The distance of every column, test rows from what is most like them; local rows from those too.

    In horizon tasks beside what is usual between neighbouring cut-offs of the history. Columns that tell
    the time are reported, and no finding.
    """
    test, known, cutoffs = sample.parts[0], sample.known, sample.cutoffs
    if known is None or min(test.units, known.units) < LEAST_UNITS:
        return {"skipped": f"fewer than {LEAST_UNITS} series", "columns": {}}, []
    local = sample.part("local")
    columns: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(sample.column):
        found = distance(_values(test, index), _values(known, index))
        if found is None:
            continue
        usual = _usual([distance(_values(a, index), _values(b, index)) for a, b in pairwise(cutoffs)])
        if local is not None:
            from_local = distance(_values(local, index), _values(known, index))
            found["local_psi"] = None if from_local is None else from_local["psi"]
        by_time = bool(sample.by_time[index])
        columns[name] = {
            **found,
            "usual": usual,
            "time_column": by_time,
            "drifts": not by_time and drifts(found, usual),
        }
    ordered = dict(sorted(columns.items(), key=lambda item: -item[1]["psi"]))
    return {"against": known.name, "columns": ordered}, _findings(ordered, known)


def target_drift(sample: Sample) -> tuple[dict[str, Any], list[Finding]]:
    """The target where it is known: the last cut-off against the one before, or local against the rest.

    In horizon tasks targets are taken as deviations from their series' mean over the cut-offs, in its
    standard deviation. What the test rows have is not known and not looked at.
    """
    parts = [rows for rows in sample.parts[1:] if rows.units >= LEAST_UNITS]
    result: dict[str, Any] = {}
    findings: list[Finding] = []
    for index, name in enumerate(sample.panel.target_name):
        values = {rows.name: _targets(sample, rows, index) for rows in parts}
        values = {part: one for part, one in values.items() if len(one.value)}
        if len(values) < 2:
            continue
        if sample.cutoffs:
            values = _within_series(values)
        found, *earlier = [distance(values[one], values[other]) for one, other in pairwise(values)]
        if found is None:
            continue
        usual = _usual(earlier)
        last, before = list(values)[:2]
        spread = float(np.concatenate([one.value for one in values.values()]).std()) or 1.0
        moved = (float(values[last].value.mean()) - float(values[before].value.mean())) / spread
        between = {"between": [last, before], "moved": moved, "usual": usual}
        result[name] = {**found, **between, "drifts": drifts(found, usual)}
        if result[name]["drifts"]:
            findings.append(_target_finding(name, result[name]))
    return result, findings


def _values(rows: Rows, index: int) -> Values:
    return Values(rows.feature[:, index], rows.series)


def _targets(sample: Sample, rows: Rows, target: int) -> Values:
    """Known targets that are judged, transformed."""
    inputs = sample.inputs
    row = rows.row[inputs.observed[rows.row].all(1) & (inputs.weight[rows.row] > 0)]
    return Values(inputs.target[row, target].astype(np.float64), inputs.series_of(row))


def _within_series(values: dict[str, Values]) -> dict[str, Values]:
    """Less the mean, over the standard deviation, of each series over all parts."""
    every = np.concatenate([one.value for one in values.values()])
    owner = np.concatenate([one.series for one in values.values()])
    count = np.maximum(np.bincount(owner), 1)
    mean = np.bincount(owner, every) / count
    spread = np.sqrt(np.bincount(owner, (every - mean[owner]) ** 2) / count)
    spread = np.where(spread > 0, spread, 1.0)
    return {
        part: Values((one.value - mean[one.series]) / spread[one.series], one.series)
        for part, one in values.items()
    }


def _usual(distances: list[dict[str, Any] | None]) -> float | None:
    return max((one["psi"] for one in distances if one is not None), default=None)


def _findings(columns: dict[str, dict[str, Any]], known: Rows) -> list[Finding]:
    drifting = [name for name, found in columns.items() if found["drifts"]]
    if not drifting:
        return []
    worst = columns[drifting[0]]
    figure = f"PSI of {drifting[0]} {worst['psi']:.2f}, where {MUCH} is much"
    if worst["usual"] is not None:
        figure += f" and {worst['usual']:.2f} the most between cut-offs of the history"
    names = ", ".join(drifting[:SHOWN])
    more = f" and {len(drifting) - SHOWN} more" if len(drifting) > SHOWN else ""
    return [
        Finding(
            "drift",
            "warning",
            f"distributed otherwise in the test rows than in {known.name}: {names}{more}",
            figure,
            "a model has seen few rows like the ones that it is asked for",
            "see that the column means the same in both files; else leave it out or make it relative",
        )
    ]


def _target_finding(name: str, found: dict[str, Any]) -> Finding:
    last, before = found["between"]
    figure = f"PSI {found['psi']:.2f}, its mean moved by {found['moved']:+.2f} standard deviations"
    if found["usual"] is not None:
        figure += f", PSI {found['usual']:.2f} at most before"
    return Finding(
        "target",
        "warning",
        f"the target {name} is distributed otherwise in {last} than in {before}",
        figure,
        "what was learnt from older rows may not hold where it counts",
        "weigh newer rows more: windows.recency for fits, blend.recency for weights"
        if last.startswith("cut-off")
        else "deal the groups out by what tells these apart (folds.stratify)",
    )
