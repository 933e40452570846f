"""The blend's nested score against its local one, and which days or series make the gap between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.material import Forecasts, Material, scores_by

STANDARD_ERRORS = 2.0
LARGE = 0.05  # of the score: a gap worth looking into where there is one fold and so no standard error
LISTED = 8  # days or series
TRIED = 40  # that are left out one by one, to find those that weigh most


@dataclass(frozen=True)
class Culprit:
    """A day or a series."""

    name: str
    rows: int  # judged
    score: float  # of its rows alone
    effect: float  # how much better the part's score is without it
    beside: float | None  # a series' score on the other side of the comparison


@dataclass(frozen=True)
class Unit:
    """Days or series, the heaviest first."""

    kind: str  # day, series, group
    culprits: list[Culprit]
    closing: int | None  # so many have to be left out to come within two standard errors; None: more are
    without: float  # score of the part without these, or without all that are listed


@dataclass(frozen=True)
class Gap:
    """Of the blend before post-processing."""

    cv: float
    folds: list[float]
    local: float
    greater_is_better: bool

    @property
    def standard_error(self) -> float | None:
        """Of the mean over folds; None for one fold."""
        if len(self.folds) < 2:
            return None
        return float(np.std(self.folds, ddof=1) / np.sqrt(len(self.folds)))

    @property
    def worse_by(self) -> float:
        """How much worse the local score is; below 0: better."""
        return self.cv - self.local if self.greater_is_better else self.local - self.cv

    @property
    def within(self) -> bool | None:
        """Whether the two agree, to two standard errors; None where there is no standard error."""
        error = self.standard_error
        return None if error is None else abs(self.worse_by) <= STANDARD_ERRORS * error

    @property
    def allowed(self) -> float:
        """The gap that needs no explanation."""
        error = self.standard_error
        return LARGE * abs(self.cv) if error is None else STANDARD_ERRORS * error

    @property
    def suspicious(self) -> bool:
        """Whether it is worth knowing what makes the gap."""
        return abs(self.worse_by) > self.allowed

    @property
    def side(self) -> str:
        """The part with the worse score, where what makes it worse is to be found: local or oof."""
        return "local" if self.worse_by > 0 else "oof"


def gap_of(material: Material) -> Gap | None:
    """None without a blend, folds or a local score."""
    blend = material.scores.get("blend")
    if not blend or blend.get("cv") is None:
        return None
    local = material.scores["local"].get(material.metric)
    folds = [score for score in blend["folds"].values() if score is not None]
    if local is None or not folds:
        return None
    return Gap(float(blend["cv"]), folds, float(local), material.scorer.metric.greater_is_better)


def units_of(material: Material, gap: Gap) -> list[Unit]:
    """Days, where there is a calendar, and series: what makes the worse of the two scores worse."""
    part = material.local if gap.side == "local" else material.oof
    other = material.oof if gap.side == "local" else material.local
    if part is None or part.before_post is None:
        return []
    found = []
    days = _days(material, part)
    if days is not None:
        found.append(_unit(material, gap, part, "day", *days, beside=None))
    name = "group" if material.prepared.competition.task == "sequence" else "series"
    names = material.prepared.panel.series_name
    words = {int(one): str(names[int(one)]) for one in np.unique(part.asked.series)}
    found.append(_unit(material, gap, part, name, part.asked.series, words, _beside(material, other)))
    return [unit for unit in found if unit.culprits]


def _unit(
    material: Material,
    gap: Gap,
    part: Forecasts,
    kind: str,
    code: np.ndarray,
    words: dict[int, str],
    beside: dict[int, float] | None,
) -> Unit:
    value = part.before_post
    assert value is not None
    score = _score(material, part, value)
    everything = np.ones(len(code), dtype=bool)
    whole = score(everything)
    sign = -1.0 if gap.greater_is_better else 1.0
    judged = part.judged
    names, count = np.unique(code[judged], return_counts=True)
    rows = dict(zip(names.tolist(), count.tolist(), strict=True))
    alone = scores_by(material.scorer, part.asked, value, code)
    heavy = sorted(alone, key=lambda one: -sign * (alone[one] - whole) * rows[one])[:TRIED]
    culprits = []
    for one in heavy if len(rows) > 1 else ():
        effect = sign * (whole - score(code != one))
        if np.isfinite(effect) and effect > 0:
            near = None if beside is None else beside.get(one)
            culprits.append((one, Culprit(words[one], rows[one], alone[one], effect, near)))
    culprits = sorted(culprits, key=lambda entry: -entry[1].effect)[:LISTED]
    left, closing, without = everything.copy(), None, whole
    for number, (one, _) in enumerate(culprits, start=1):
        left &= code != one
        without = score(left)
        if sign * (without - (gap.cv if gap.side == "local" else gap.local)) <= gap.allowed:
            closing = number
            break
    return Unit(kind, [culprit for _, culprit in culprits], closing, without)


def _score(material: Material, part: Forecasts, value: np.ndarray) -> Callable[[np.ndarray], float]:
    """The part's score on the rows of a mask: of all of them, or the mean over folds."""
    folds = [part.asked.fold == fold for fold in np.unique(part.asked.fold)]

    def score(rows: np.ndarray) -> float:
        blocks = [fold & rows for fold in folds]
        scores = [material.scorer.score(part.asked.take(block), value[block]) for block in blocks]
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")

    return score


def _days(material: Material, part: Forecasts) -> tuple[np.ndarray, dict[int, str]] | None:
    """(N,) code and words of the day of each row, or of its date where rows are further apart than days."""
    stamps = material.prepared.panel.timestamp
    if stamps is None:
        return None
    dates = pd.DatetimeIndex(stamps[part.asked.row_id]).normalize()
    code, names = pd.factorize(dates, sort=True)
    words = {number: name.strftime("%a %d %b %Y") for number, name in enumerate(pd.DatetimeIndex(names))}
    return np.asarray(code, dtype=np.int64), words


def _beside(material: Material, other: Forecasts | None) -> dict[int, float] | None:
    """Scores of the series of the other part; None where the parts have no series in common."""
    if material.prepared.competition.task == "sequence" or other is None or other.before_post is None:
        return None
    return scores_by(material.scorer, other.asked, other.before_post, other.asked.series)


def gap_json(gap: Gap | None, units: list[Unit]) -> dict[str, Any] | None:
    """For summary.json."""
    if gap is None:
        return None
    return {
        "nested": gap.cv,
        "standard_error": gap.standard_error,
        "local": gap.local,
        "gap": gap.local - gap.cv,
        "within_two_standard_errors": gap.within,
        "made_by": {
            unit.kind: [
                {"name": one.name, "rows": one.rows, "score": one.score, "effect": one.effect}
                for one in unit.culprits
            ]
            for unit in units
        },
    }
