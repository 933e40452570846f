"""Everything that a report speaks of, as `read_material` has read it from the artefacts of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from data.folds import Fold
from data.scoring import Asked, Scorer
from pipeline.manifest import Manifest
from pipeline.report.fits import Fit
from pipeline.report.studies import Study
from pipeline.stages.prepare import Prepared
from submissions.post import Learnt, apply_post, apply_posts
from submissions.posts.base import Forecast

COLOURS = 8  # that the style sheet has for members


class Who(NamedTuple):
    """A line of the leaderboard: members and baselines may share a name."""

    role: Literal["blend", "member", "baseline"]
    name: str


@dataclass(frozen=True)
class Forecasts:
    """Predictions of the same rows by several."""

    part: str  # oof, local, or test where the truth of the test rows is known
    asked: Asked  # N rows
    value: dict[Who, np.ndarray]  # (N, K); of the blend: as submitted on local rows, honest out of fold
    before_post: np.ndarray | None = None  # (N, K) the blend before post-processing
    quantiles: np.ndarray | None = None  # (N, K, Q) of the blend, rising along Q
    levels: tuple[float, ...] = ()  # (Q,)

    @property
    def judged(self) -> np.ndarray:
        """(N,) bool."""
        return self.asked.weight > 0


@dataclass(frozen=True)
class Material:
    """One run."""

    prepared: Prepared
    size: str
    command: str
    scores: dict[str, Any]  # of the blend; empty where no member was complete
    submission: dict[str, Any]
    blend_path: str | None
    members: dict[str, list[Fit]]
    baselines: dict[str, list[Fit]]
    baseline_scores: dict[str, float]  # on local, the deciding metric
    oof: Forecasts | None
    local: Forecasts | None
    manifests: dict[str, Manifest]
    stage_wall_seconds: dict[str, float]  # of the command so far, where the runner says
    peak_memory_mib: float
    learnt: Learnt = ()  # by each step of post-processing, where it is applied
    seeds: list[int] = field(default_factory=list)
    check: dict[str, Any] = field(default_factory=dict)  # what the checks before training found
    #: Of members that a suite of probes has a row of: probe, {length, tried, suite, row}.
    t50: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    studies: list[Study] = field(default_factory=list)  # of the competition, whatever their members

    @cached_property
    def scorer(self) -> Scorer:
        """The competition's metrics."""
        return Scorer(self.prepared.competition, self.prepared.panel)

    @property
    def metric(self) -> str:
        """Name of the metric that decides."""
        return self.scorer.name

    @property
    def folds(self) -> list[Fold]:
        """Those that the scores are of."""
        return [fold for fold in self.prepared.split.folds if fold.name in self.scores.get("folds", {})]

    @property
    def blend(self) -> Who | None:
        """The chosen blender."""
        return Who("blend", self.scores["chosen"]) if self.scores else None

    @property
    def ranking(self) -> list[str]:
        """Members, best cross-validated score first; those without one last."""
        sign = -1.0 if self.scorer.metric.greater_is_better else 1.0

        def place(name: str) -> tuple[float, str]:
            score = self.scores["members"][name]["cv"]
            return (sign * score if score is not None else np.inf, name)

        return sorted(self.scores.get("members", {}), key=place)

    @property
    def best_baseline(self) -> str | None:
        """On local."""
        known = {name: score for name, score in self.baseline_scores.items() if np.isfinite(score)}
        if not known:
            return None
        choose = max if self.scorer.metric.greater_is_better else min
        return choose(known, key=lambda name: known[name])

    @property
    def local_score(self) -> dict[str, float]:
        """Of what was submitted, metric by metric; {} where no local truth is known."""
        written: dict[str, float] = self.submission.get("local", {})
        if written or not self.submission.get("baseline") or self.local is None:
            return written
        value = self.local.value.get(Who("baseline", self.submission["baseline"]))
        if value is None:
            return {}
        post = self.submission.get("post")
        competition, panel = self.prepared.competition, self.prepared.panel
        value = apply_post(competition, panel, self.local.asked, value) if post else value
        return self.scorer.scores(self.local.asked, value)

    def after_post(self, asked: Asked, forecast: Forecast) -> Forecast:
        """A forecast of the blend as it would be submitted."""
        if not self.submission.get("post"):
            return forecast
        return apply_posts(self.prepared.competition, self.prepared.panel, asked, forecast, self.learnt)

    @property
    def metric_names(self) -> list[str]:
        """All metrics, the deciding one first."""
        return [name for name, _ in self.scorer.metrics]

    def colour(self, who: Who) -> str:
        """CSS classes of its lines and dots."""
        if who.role == "blend":
            return who.role
        if who.role == "baseline":
            return "baseline again" if list(self.baselines).index(who.name) % 2 else "baseline"
        number = self.ranking.index(who.name)
        return f"m{number % COLOURS}" + (" again" if number >= COLOURS else "")

    def name(self, who: Who) -> str:
        """For legends."""
        return f"blend ({who.name})" if who.role == "blend" else who.name


def scores_by(scorer: Scorer, asked: Asked, value: np.ndarray, by: np.ndarray) -> dict[Any, float]:
    """The deciding metric of each group of rows, where it is defined there; by: (N,) labels."""
    found = scorer.metric.score_by(scorer.table(asked, value), by)
    return {label: score for label, score in found.items() if np.isfinite(score)}
