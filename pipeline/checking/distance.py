"""How differently two samples of series are distributed, and how much of it chance alone would make."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2, rankdata

from pipeline.checking.boosting import codes

BINS = 10
#: The usual reading of a population stability index: below 0.1 no drift, 0.1 to 0.25 some, above it much.
MUCH = 0.25
#: Without any drift a PSI stays below its `chance` but once in ten thousand.
SURE = 0.9999
#: In horizon tasks: times the largest distance between neighbouring cut-offs of the history.
TIMES_USUAL = 2.0


class Values(NamedTuple):
    """N values of one column, and whose they are."""

    value: np.ndarray  # (N,) NaN where missing
    series: np.ndarray  # (N,)


def distance(first: Values, second: Values) -> dict[str, Any] | None:
    """psi, chance, ks, missing of two samples; None where all values are one.

    PSI = sum over bins of (p - q) ln(p / q), the symmetric Kullback-Leibler divergence. Without drift it is
    about chi2 of (bins - 1) degrees of freedom times (1/n + 1/m), n and m the rows that the samples are
    worth. ks is the Kolmogorov-Smirnov distance of the values that are there.
    """
    both = np.concatenate([first.value, second.value])
    known = both[~np.isnan(both)]
    if not len(known) or (len(known) == len(both) and np.ptp(known) == 0):
        return None
    code = codes(both, BINS)
    rows = np.stack(
        [np.bincount(part, minlength=code.max() + 1) for part in np.split(code, [len(first.value)])]
    )
    rows = rows[:, rows.sum(0) > 0]
    share = (rows + 0.5) / (rows.sum(1, keepdims=True) + 0.5 * rows.shape[1])
    rank = np.split(rankdata(np.where(np.isnan(both), -np.inf, both)), [len(first.value)])
    worths = [worth(part, one.series) for part, one in zip(rank, (first, second), strict=True)]
    return {
        "psi": float(((share[0] - share[1]) * np.log(share[0] / share[1])).sum()),
        "chance": float(chi2.ppf(SURE, max(1, rows.shape[1] - 1)) * sum(1 / one for one in worths)),
        "ks": kolmogorov_smirnov(*(one.value[~np.isnan(one.value)] for one in (first, second))),
        "missing": [float(np.isnan(one.value).mean()) for one in (first, second)],
    }


def worth(value: np.ndarray, series: np.ndarray) -> float:
    """How many independent rows N rows are worth, if those of one series are alike (Kish 1965).

    N over the design effect, 1 + (k - 1) rho: k rows a series, rho their intraclass correlation by an
    analysis of variance.
    """
    _, number, count = np.unique(series, return_inverse=True, return_counts=True)
    groups, rows = len(count), len(value)
    if groups < 2 or rows == groups:
        return float(rows)
    mean = np.bincount(number, value) / count
    between = float((count * (mean - value.mean()) ** 2).sum()) / (groups - 1)
    within = float(((value - mean[number]) ** 2).sum()) / (rows - groups)
    size = (rows - (count**2).sum() / rows) / (groups - 1)
    if between + (size - 1) * within <= 0:
        return float(groups)
    correlation = max(0.0, (between - within) / (between + (size - 1) * within))
    return rows / (1 + (rows / groups - 1) * correlation)


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> float | None:
    """Largest distance of the two distribution functions; None where one has no value."""
    if not len(first) or not len(second):
        return None
    one, other = np.sort(first), np.sort(second)
    values = np.concatenate([one, other])
    left = np.searchsorted(one, values, side="right") / len(one)
    return float(np.abs(left - np.searchsorted(other, values, side="right") / len(other)).max())


def drifts(found: dict[str, Any], usual: float | None) -> bool:
    """Whether a distance is much, more than chance, and more than is usual between cut-offs."""
    if found["psi"] <= max(MUCH, found["chance"]):
        return False
    return usual is None or found["psi"] > TIMES_USUAL * usual
