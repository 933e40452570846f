"""Row order: whether the place of a row in its file, or the number of its group, gives the target away."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from data.folds import Split
from data.panel import Panel
from data.scaling import forward_transform
from pipeline.checking.boosting import binned, boosted
from pipeline.checking.finding import Finding

#: Share of the variance that other columns leave, below which an order is of no use to anybody.
LEAST_SHARE = 0.03
#: Standard errors of a correlation of nothing (1 / sqrt(n)).
ERRORS = 5.0
LEAST_GROUPS = 40
MOST_GROUPS = 20_000
MOST_ROWS = 200_000
#: Rows of a time stand in the same order of series at nearly all times: then they are sorted, no more.
SORTED = 0.95
LEAST_SERIES = 5


def row_order(
    panel: Panel, split: Split, transform: str, horizon: bool, seed: int
) -> tuple[dict[str, Any], list[Finding]]:
    """What order explains of the target beyond the inputs (groups), or beyond series and time (rows)."""
    found: dict[str, Any]
    if panel.file_row is None:
        return {"skipped": "prepared before the place of rows in their files was kept"}, []
    target = forward_transform(transform, panel.target)
    judged = panel.present & ~panel.test & (panel.weight > 0) & np.isfinite(target).all(1)
    places = _rows if horizon else _groups
    found = places(panel, target.mean(1) if horizon else target[:, 0], judged, panel.file_row, seed)
    findings = [
        Finding(
            "order",
            "warning",
            f"{one['what']} tells the target",
            f"it explains {100 * one['share']:.0f} % of what {one['beyond']} leave, over {one['rows']:,}"
            f" {one['of']}",
            "the file was sorted or collected by something that goes with the target, and random folds have"
            " neighbours on both sides: scores may be too good",
            "find out how it was sorted, and fold by contiguous parts (folds.kind=file)",
        )
        for one in found.get("orders", [])
        if one["tells"]
    ]
    return found, findings


def _groups(
    panel: Panel, target: np.ndarray, judged: np.ndarray, file_row: np.ndarray, seed: int
) -> dict[str, Any]:
    """Sequence tasks: the mean target of a group, less what its inputs tell, along the file and by name."""
    owner = panel.series_of_row()
    count = np.bincount(owner[judged], minlength=panel.series)
    groups = np.flatnonzero(count)[:MOST_GROUPS]
    if len(groups) < LEAST_GROUPS:
        return {"skipped": f"fewer than {LEAST_GROUPS} groups"}
    mean = np.bincount(owner[judged], target[judged], panel.series)[groups] / count[groups]
    known = panel.frame.select_dtypes("number")
    sums = [
        np.bincount(owner, np.nan_to_num(known[name].to_numpy(np.float64)), panel.series) for name in known
    ]
    spread = [
        np.bincount(owner, np.nan_to_num(known[name].to_numpy(np.float64)) ** 2, panel.series)
        for name in known
    ]
    length = np.bincount(owner, minlength=panel.series)
    statics = [panel.static[name].to_numpy(np.float64) for name in panel.static]
    feature = np.column_stack([*(one / length for one in (*sums, *spread)), *statics, length])[groups]
    left = mean - boosted(feature, mean, groups, "regression", seed)[0]
    first = np.full(panel.series, np.iinfo(np.int64).max)
    np.minimum.at(first, owner[panel.present], file_row[panel.present])
    orders = {"the order of groups in the file": first[groups]}
    by_name = np.arange(len(groups))  # the panel has its series in the natural order of their names
    if abs(np.corrcoef(rankdata(first[groups]), by_name)[0, 1]) < 0.99:
        orders["the order of the groups' names"] = by_name
    return {
        "orders": [
            _along(what, rankdata(place), left, groups, "the inputs", "groups", seed)
            for what, place in orders.items()
        ]
    }


def _rows(
    panel: Panel, target: np.ndarray, judged: np.ndarray, file_row: np.ndarray, seed: int
) -> dict[str, Any]:
    """Horizon tasks: rows of the same time, in the file's order; less the mean of series and of times."""
    clock = panel.time if panel.timestamp is None else panel.timestamp.astype(np.int64)
    row = np.flatnonzero(judged)
    if len(row) > MOST_ROWS:  # the newest times
        row = row[clock[row] >= np.partition(clock[row], -MOST_ROWS)[-MOST_ROWS]]
    series = panel.series_of_row()[row]
    time = np.unique(clock[row], return_inverse=True)[1]
    if len(np.unique(series)) < LEAST_SERIES or len(row) < 200:
        return {"skipped": f"fewer than {LEAST_SERIES} series, or 200 rows: order is time"}
    order = np.lexsort((file_row[row], time))
    rank = np.empty(len(row))
    size = np.bincount(time)
    start = np.cumsum(size) - size
    rank[order] = (np.arange(len(row)) - start[time[order]] + 0.5) / size[time[order]]
    usual = np.bincount(series, rank, panel.series) / np.maximum(
        np.bincount(series, minlength=panel.series), 1
    )
    together = time[order][1:] == time[order][:-1]
    rising = usual[series[order]][1:] >= usual[series[order]][:-1]
    in_order = float(rising[together].mean()) if together.any() else 1.0
    if in_order > SORTED:
        return {"sorted": in_order}
    left = _without_means(target[row], series, time)
    along = _along(
        "the order of rows of one time in the file", rank, left, time, "series and time", "rows", seed
    )
    return {"sorted": in_order, "orders": [along]}


def _without_means(values: np.ndarray, *groupings: np.ndarray) -> np.ndarray:
    """Less the means of every grouping, in turn, until they are as good as gone."""
    for _ in range(3):
        for group in groupings:
            count = np.maximum(np.bincount(group), 1)
            values = values - (np.bincount(group, values) / count)[group]
    return values


def _along(
    what: str, place: np.ndarray, left: np.ndarray, unit: np.ndarray, beyond: str, of: str, seed: int
) -> dict[str, Any]:
    """How much of `left` its neighbours by `place` tell: trends out of fold, and the neighbour before."""
    predicted = binned(place, left, unit, seed)
    by_place = left[np.argsort(place, kind="stable")]
    trend = max(0.0, _correlation(predicted, left))
    neighbour = abs(_correlation(by_place[1:], by_place[:-1])) if of == "groups" else 0.0
    strongest = max(trend, neighbour)
    tells = strongest**2 > LEAST_SHARE and strongest * np.sqrt(len(left)) > ERRORS
    return {
        "what": what,
        "beyond": beyond,
        "of": of,
        "rows": len(left),
        "share": strongest**2,
        "tells": bool(tells),
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
