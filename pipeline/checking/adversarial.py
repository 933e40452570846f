"""Adversarial validation: can a classifier tell the rows that are asked from those to learn from?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.checking.boosting import boosted
from pipeline.checking.finding import Finding
from pipeline.checking.sample import Rows, Sample

DRAWS = 100
#: Fewer series than this on one side say nothing: a classifier could know each by heart.
LEAST_UNITS = 12
#: An AUC below this is no reason to do anything, however surely it is above 0.5.
LEAST_AUC = 0.6
#: Above the AUC between cut-offs of the history by at least this much.
LEAST_EXCESS = 0.05
ERRORS = 4.0
SHOWN = 5


def adversarial(sample: Sample, seed: int) -> tuple[dict[str, Any], list[Finding]]:
    """Test against what is most like it, and in horizon tasks the same between cut-offs of the history.

    Columns that tell times apart by themselves are left out, and named; a season tells cut-offs apart too,
    so in horizon tasks an AUC is judged by what is usual between neighbouring cut-offs.
    """
    test, known, cutoffs = sample.parts[0], sample.known, sample.cutoffs
    left_out = [sample.column[index] for index in np.flatnonzero(sample.by_time)]
    columns = sample.compared
    if known is None or min(test.units, known.units) < LEAST_UNITS or not len(columns):
        few = "no column tells series apart" if not len(columns) else f"fewer than {LEAST_UNITS} series"
        return {"skipped": few, "time_columns": left_out}, []
    found = compared(test, known, columns, seed)
    usual = [compared(*pair, columns, seed) for pair in pairwise(cutoffs[:3])]
    carried = sorted(zip(found.pop("gain"), columns, strict=True), reverse=True)[:SHOWN]
    carriers = {sample.column[index]: round(float(gain), 4) for gain, index in carried if gain > 0}
    result = {
        **found,
        "against": known.name,
        "rows": [len(test.series), len(known.series)],
        "units": [test.units, known.units],
        "carried_by": carriers,
        "usual": [{key: value for key, value in one.items() if key != "gain"} for one in usual],
        "time_columns": left_out,
    }
    return result, _findings(result, bool(cutoffs))


def compared(first: Rows, second: Rows, columns: np.ndarray, seed: int) -> dict[str, Any]:
    """AUC of telling `first` (1) from `second` (0), its standard error over series, gains of the columns."""
    feature = np.concatenate([first.feature[:, columns], second.feature[:, columns]])
    label = np.repeat([1.0, 0.0], [len(first.series), len(second.series)])
    unit = np.concatenate([first.series, second.series])
    predicted, gain = boosted(feature, label, unit, "binary", seed)
    area, error = auc_with_error(label, predicted, unit, seed)
    return {"auc": area, "error": error, "gain": gain}


def auc_with_error(label: np.ndarray, score: np.ndarray, unit: np.ndarray, seed: int) -> tuple[float, float]:
    """Area under the ROC curve, ties counted half, and its standard deviation over draws of units."""
    values, place = np.unique(score, return_inverse=True)
    units, number = np.unique(unit, return_inverse=True)
    generator = np.random.default_rng([seed, 4])
    positive = label > 0

    def area(weight: np.ndarray) -> float:
        above = np.bincount(place[positive], weight[positive], len(values))
        below = np.bincount(place[~positive], weight[~positive], len(values))
        total = above.sum() * below.sum()
        if total == 0:
            return float("nan")
        return float((above * (np.cumsum(below) - below / 2)).sum() / total)

    draws = [
        area(np.bincount(generator.integers(0, len(units), len(units)), minlength=len(units))[number])
        for _ in range(DRAWS)
    ]
    return area(np.ones(len(label))), float(np.nanstd(draws))


def _findings(result: dict[str, Any], horizon: bool) -> list[Finding]:
    area, error = result["auc"], result["error"]
    figure = f"AUC {area:.3f} \N{PLUS-MINUS SIGN} {error:.3f}"
    usual = max(result["usual"], key=lambda one: one["auc"], default=None)
    if usual is not None:
        figure += f", {usual['auc']:.3f} between cut-offs of the history"
        excess = area - max(usual["auc"], 0.5)
        clear = excess > LEAST_EXCESS + ERRORS * float(np.hypot(error, usual["error"]))
    else:
        clear = area - 0.5 > ERRORS * error
    if area < LEAST_AUC or not clear:
        return []
    most = max(result["carried_by"].values(), default=0.0)
    carriers = ", ".join([name for name, gain in result["carried_by"].items() if gain >= most / 3][:3])
    return [
        Finding(
            "adversarial",
            "note" if horizon and usual is None else "warning",
            f"test rows can be told from {'the last cut-off' if horizon else 'training rows'} by {carriers}",
            figure,
            "models will be asked for what they were not shown, and cross-validation does not rehearse it",
            "look at these columns in both files; leave out, rank or difference what will not carry over",
        )
    ]
