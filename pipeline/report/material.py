"""Everything that a report speaks of, read once from the artefacts of one run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from data.folds import Fold
from data.predictions import POINT, load_predictions
from data.scoring import Asked, Scorer, align, asked_of
from pipeline.manifest import Manifest
from pipeline.member_predictions import averaged, out_of_fold
from pipeline.report.fits import Fit, manifests_below, read_fit
from pipeline.report.studies import Study, read_studies
from pipeline.stage import Job, JobContext
from pipeline.stages.check import read_check
from pipeline.stages.prepare import PREPARE, SOLUTION, Prepared, read_truth
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


def read_material(job: Job, context: JobContext) -> Material:
    """What a report job reads. `job.details` may have command, stage_seconds, peak_memory_mib."""
    settings = job.settings
    prepared = Prepared(
        context.inputs[PREPARE], {name: settings[name] for name in ("title", "metric", "post")}
    )
    folders = context.inputs
    blend = settings["blend"]
    scores = json.loads((folders[blend["path"]] / "scores.json").read_text()) if blend else {}
    submission = json.loads((folders[settings["submit"]] / "submission.json").read_text())
    members = {
        name: [read_fit(path, folders[path]) for path in paths] for name, paths in settings["members"].items()
    }
    baselines = {
        name: [read_fit(path, folders[path]) for part in parts.values() for path in part]
        for name, parts in settings["baselines"].items()
    }
    manifests = manifests_below(list(job.inputs), context.root)
    learnt: Learnt = ()
    if blend and submission.get("post"):
        steps = json.loads((folders[blend["path"]] / "post.json").read_text())["steps"]
        learnt = [step["learnt"] for step in steps]
    local = _local(prepared, settings, scores, submission, learnt, folders)
    known = [manifest.peak_memory_mib for manifest in manifests.values()]
    known += [fit.peak_memory_mib for fits in [*members.values(), *baselines.values()] for fit in fits]
    return Material(
        prepared=prepared,
        size=settings["size"],
        command=_command(job),
        scores=scores,
        submission=submission,
        blend_path=blend["path"] if blend else None,
        members=members,
        baselines=baselines,
        baseline_scores=_baseline_scores(prepared, local),
        oof=_oof(prepared, settings, scores, folders) if blend else None,
        local=local,
        manifests=manifests,
        stage_wall_seconds=dict(job.details.get("stage_seconds", {})),
        peak_memory_mib=max([*known, float(job.details.get("peak_memory_mib", 0.0))]),
        learnt=learnt,
        seeds=sorted({fit.seed for fits in members.values() for fit in fits}),
        t50=settings["t50"],
        check=read_check(folders[settings["check"]]) if "check" in settings else {},
        studies=read_studies(context.root, settings["studies"]),
    )


def _oof(
    prepared: Prepared, settings: Mapping[str, Any], scores: Mapping[str, Any], folders: Mapping[str, Path]
) -> Forecasts:
    blend = settings["blend"]
    folds = [fold for fold in prepared.split.folds if fold.name in blend["folds"]]
    asked = asked_of(prepared.panel, [(fold.index, fold.asked) for fold in folds], prepared.horizon)
    index = {fold.name: fold.index for fold in folds}
    found = _blended(folders[blend["path"]], "oof", asked)
    value = {Who("blend", scores["chosen"]): found.point}
    for name, fits in blend["members"].items():
        value[Who("member", name)] = out_of_fold(fits, asked, index, folders, name, how=blend["fits"])
    return Forecasts("oof", asked, value, found.point, found.quantiles, found.levels)


def _blended(folder: Path, part: str, asked: Asked) -> Forecast:
    """The blend of a part, before post-processing."""
    file = folder / f"{part}.parquet"
    table = load_predictions(file)
    levels = tuple(float(level) for level in np.unique(table["quantile"]) if level != POINT)
    # Levels are kept as float32: 0.1 comes back as the nearest number of few digits.
    levels = tuple(round(level, 6) for level in levels)
    each = [align(table, asked, str(file), level) for level in levels]
    quantiles = np.stack(each, axis=2) if each else None
    return Forecast(align(table, asked, str(file)), quantiles, levels)


def _local(
    prepared: Prepared,
    settings: Mapping[str, Any],
    scores: Mapping[str, Any],
    submission: Mapping[str, Any],
    learnt: Learnt,
    folders: Mapping[str, Path],
) -> Forecasts | None:
    """Rows of the local hold-out, or the test rows where their truth is known."""
    panel, split = prepared.panel, prepared.split
    truth = read_truth(folders.get(SOLUTION))
    if split.local is not None:
        part, asked = "local", asked_of(panel, [(split.local.index, split.local.asked)], prepared.horizon)
    elif truth is not None:
        part = "test"
        asked = asked_of(panel, [(split.test.index, split.test.asked)], prepared.horizon, truth)
    else:
        return None
    value = {}
    blend = settings["blend"]
    before: Forecast | None = None
    after: Forecast | None = None
    if blend:
        before = after = _blended(folders[blend["path"]], part, asked)
        if submission.get("post"):
            after = apply_posts(prepared.competition, panel, asked, before, learnt)
        value[Who("blend", scores["chosen"])] = after.point
        for name, fits in blend["members"].items():
            paths = [path for entry in fits for path in entry[part]]
            value[Who("member", name)] = averaged(paths, part, asked, folders, name, how=blend["fits"])
    for name, parts in settings["baselines"].items():
        if parts.get(part):
            value[Who("baseline", name)] = averaged(parts[part], part, asked, folders, f"baseline {name}")
    if before is None or after is None:
        return Forecasts(part, asked, value)
    return Forecasts(part, asked, value, before.point, after.quantiles, after.levels)


def _baseline_scores(prepared: Prepared, local: Forecasts | None) -> dict[str, float]:
    if local is None:
        return {}
    scorer = Scorer(prepared.competition, prepared.panel)
    return {
        who.name: scorer.score(local.asked, value)
        for who, value in local.value.items()
        if who.role == "baseline"
    }


def _command(job: Job) -> str:
    given = job.details.get("command")
    if given:
        return given if isinstance(given, str) else shlex.join(given)
    return f"python -m pipeline.run competition={job.settings['competition']} size={job.settings['size']}"


def scores_by(scorer: Scorer, asked: Asked, value: np.ndarray, by: np.ndarray) -> dict[Any, float]:
    """The deciding metric of each group of rows, where it is defined there; by: (N,) labels."""
    found = scorer.metric.score_by(scorer.table(asked, value), by)
    return {label: score for label, score in found.items() if np.isfinite(score)}
