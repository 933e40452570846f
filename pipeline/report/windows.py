"""Forecasts one by one: what each (series, origin) scores, and which of them are worth a look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.scoring import Scorer
from pipeline.report.material import Forecasts, Who, scores_by

MOST_FORECASTS = 1500  # that are scored one by one; more are sampled


@dataclass(frozen=True)
class Picked:
    """One forecast and how it did."""

    kind: str  # best, typical, worst
    rows: np.ndarray  # of `Forecasts.asked`, in time order
    score: float


def pick(scorer: Scorer, forecasts: Forecasts, who: Who, each: int = 2) -> tuple[list[Picked], int, int]:
    """`each` typical, best and worst forecasts; how many were scored, and how many there are.

    All of them, the best first, where they are no more than that.
    """
    asked = forecasts.asked
    order = np.lexsort((asked.row_id, asked.origin, asked.series))
    new = (np.diff(asked.series[order]) != 0) | (np.diff(asked.origin[order]) != 0)
    code = np.empty(len(asked), dtype=np.int64)
    code[order] = np.concatenate([[0], np.cumsum(new)])
    judged = np.unique(code[asked.weight > 0])
    if not len(judged):
        return [], 0, 0
    sample = judged
    if len(judged) > MOST_FORECASTS:
        sample = np.sort(np.random.default_rng(0).permutation(judged)[:MOST_FORECASTS])
    rows = np.isin(code, sample)
    scores = scores_by(scorer, asked.take(rows), forecasts.value[who][rows], code[rows])
    if not scores:
        return [], 0, len(judged)
    best_first = sorted(scores, key=lambda window: (scores[window], window))
    if scorer.metric.greater_is_better:
        best_first.reverse()
    places = np.searchsorted(code[order], np.array(best_first))
    ends = np.searchsorted(code[order], np.array(best_first), side="right")

    def picked(kind: str, place: int) -> Picked:
        return Picked(kind, order[places[place] : ends[place]], scores[best_first[place]])

    count = len(best_first)
    if count <= 3 * each:
        kinds = {0: "best", count - 1: "worst"} if count > 1 else {}
        return [picked(kinds.get(place, "typical"), place) for place in range(count)], count, len(judged)
    middle = count // 2 - each // 2
    chosen = []
    for place in range(each):  # one of each kind after the other: three columns of a kind each
        chosen.append(picked("typical", middle + place))
        chosen.append(picked("best", place))
        chosen.append(picked("worst", count - 1 - place))
    return chosen, count, len(judged)
