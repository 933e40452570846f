"""Is one better than the other? Differences paired over folds, and over series or groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from data.scoring import Asked, Scorer
from pipeline.report.material import scores_by

LEVEL = 0.95
MOST_SERIES = 1000  # more are sampled: the interval is narrow enough


@dataclass(frozen=True)
class Paired:
    """How much better the first is than the second, by pairs; positive: the first is better."""

    mean: float
    low: float  # of the t interval
    high: float
    better: int  # pairs in which the first is better
    count: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    @property
    def share(self) -> float:
        """Of pairs in which the first is better."""
        return self.better / self.count


def paired(first: np.ndarray, second: np.ndarray, greater_is_better: bool) -> Paired | None:
    """Of scores (n,) of the same n folds or series; None for fewer than two that both have a score in."""
    gain = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    gain = (gain if greater_is_better else -gain)[np.isfinite(gain)]
    if len(gain) < 2:
        return None
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, len(gain) - 1)) * error
    mean = float(gain.mean())
    return Paired(mean, mean - reach, mean + reach, int((gain > 0).sum()), len(gain))


def series_scores(scorer: Scorer, asked: Asked, *values: np.ndarray) -> list[np.ndarray]:
    """The deciding metric of each series, for each of `values` (N, K); of a sample where there are many."""
    names = np.unique(asked.series[asked.weight > 0])
    if len(names) > MOST_SERIES:
        names = np.sort(np.random.default_rng(0).permutation(names)[:MOST_SERIES])
    rows = np.isin(asked.series, names)
    part = asked.take(rows)
    found = [scores_by(scorer, part, value[rows], part.series) for value in values]
    return [np.array([scores.get(int(name), np.nan) for name in names]) for scores in found]
