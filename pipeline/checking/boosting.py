"""Small boosted trees and binned means, out of fold over series: how much columns tell, and which."""

from __future__ import annotations

import lightgbm
import numpy as np

FOLDS = 3
ROUNDS = 50
SETTINGS = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "lambda_l2": 1.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
SERIES_IN_A_LEAF = 5
#: A column's values are put into so many bins at most.
BINS = 64
LEAST_IN_A_BIN = 20


def folds_of(unit: np.ndarray, seed: int) -> np.ndarray:
    """(N,) fold of each row; all rows of a unit are in one."""
    units, number = np.unique(unit, return_inverse=True)
    return (np.random.default_rng([seed, 3]).permutation(len(units)) % FOLDS)[number]


def boosted(
    feature: np.ndarray, label: np.ndarray, unit: np.ndarray, objective: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold predictions (N,), and each column's share of the gain (columns,)."""
    fold = folds_of(unit, seed)
    # A leaf of fewer series would know them by columns that each has one value of.
    least = int(np.clip(SERIES_IN_A_LEAF * len(label) / len(np.unique(unit)), LEAST_IN_A_BIN, len(label) / 8))
    settings = {**SETTINGS, "objective": objective, "seed": seed, "min_data_in_leaf": least}
    predicted, gain = np.zeros(len(label)), np.zeros(feature.shape[1])
    for held in range(FOLDS):
        inside = fold != held
        if inside.all() or not inside.any():
            continue
        rows = lightgbm.Dataset(feature[inside], label[inside], free_raw_data=True)
        booster = lightgbm.train(settings, rows, ROUNDS)
        predicted[~inside] = booster.predict(feature[~inside], num_threads=1)
        gain += booster.feature_importance("gain")
    return predicted, gain / max(gain.sum(), 1e-12)


def binned(column: np.ndarray, label: np.ndarray, unit: np.ndarray, seed: int) -> np.ndarray:
    """(N,) out-of-fold means of the label in bins of one column; missing values have a bin of their own."""
    fold = folds_of(unit, seed)
    bins = int(np.clip(len(label) // LEAST_IN_A_BIN, 2, BINS))
    code = codes(column, bins)
    count = int(code.max()) + 1
    key = fold * count + code
    total = np.bincount(key, label, FOLDS * count).reshape(FOLDS, count)
    rows = np.bincount(key, minlength=FOLDS * count).reshape(FOLDS, count)
    others, others_rows = total.sum(0) - total, rows.sum(0) - rows
    overall = (label.sum() - total.sum(1)) / np.maximum(len(label) - rows.sum(1), 1)
    # A bin that a few rows fill is drawn to the mean of all, as if one row more had it.
    mean = (others + overall[:, None]) / (others_rows + 1)
    return np.asarray(mean[fold, code])


def codes(column: np.ndarray, bins: int) -> np.ndarray:
    """(N,) int64: 0 for missing values, then bins that hold about as many rows each, or single values."""
    missing = np.isnan(column)
    known = column[~missing]
    values = np.unique(known)
    edges = (
        values[1:]
        if len(values) <= bins
        else np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    )
    return np.where(missing, 0, 1 + np.searchsorted(edges, column, side="right"))


def explained(label: np.ndarray, predicted: np.ndarray) -> float:
    """R2: 1 - squared errors over variance; 0 where there is no variance."""
    spread = float(np.square(label - label.mean()).sum())
    return 1.0 - float(np.square(label - predicted).sum()) / spread if spread > 0 else 0.0
