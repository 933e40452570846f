"""blend: the members' predictions combined; weights from out-of-fold rows, scored on rows they never saw.

Left behind: scores.json, weights.json, and the blend before post-processing as oof.parquet (each row by
weights that did not see it), local.parquet (where there is a hold-out) and test.parquet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data.folds import Fold
from data.predictions import prediction_table, save_predictions
from data.scoring import Asked, Scorer, asked_of
from models.blenders.base import BlendData
from models.blenders.nested import Judged, choose, judge
from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.member_predictions import (
    SeedFits,
    averaged,
    complete_fits,
    complete_parts,
    out_of_fold,
    paths_of,
)
from pipeline.quantile_scores import QuantileScores
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.baseline import Baseline
from pipeline.stages.prepare import PREPARE, SOLUTION, Prepared, file_hash, read_truth
from pipeline.stages.train import Train, chosen_parts, skipped_members
from pipeline.store import ArtifactStore
from submissions.post import apply_post


@STAGES.register("blend")
class Blend(Stage):
    """One artefact blend/<size>; none where no member is complete."""

    name: ClassVar[str] = "blend"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
        folds, fits, left_out = blended_fits(config, store, prepared)
        if not fits or not folds:
            return []
        baselines = complete_parts(Baseline().jobs(config, store), store)
        settings = {
            "blenders": list(config.blend.names),
            "metric": [asdict(metric) for metric in config.competition.metric],
            "metric_files": metric_files(config),
            "post": [asdict(step) for step in config.competition.post],
            "quantiles": list(config.competition.quantiles),
            "folds": folds,
            "members": fits,
            "baselines": baselines,
            "left_out": left_out,
        }
        inputs = [PREPARE, *paths_of(fits, baselines)]
        if prepared.competition.local.kind == "solution" and store.manifest(SOLUTION) is not None:
            inputs.append(SOLUTION)
        details = {"plugins": list(config.plugins)}
        title = f"blend of {len(fits)} members"
        return [Job(self.name, blend_path(config), settings, tuple(inputs), self.version, title, details)]

    def run(self, job: Job, context: JobContext) -> None:
        settings = job.settings
        later = {name: settings[name] for name in ("metric", "post", "quantiles")}
        prepared = Prepared(context.inputs[PREPARE], later)
        run = _Run(prepared, settings, context.inputs)
        context.progress(0.05, "read out-of-fold predictions")
        oof = run.read_oof()
        context.progress(0.4, "blenders")
        scorer = run.scorer
        sign = -1.0 if scorer.metric.greater_is_better else 1.0
        data = BlendData(oof, run.asked, lambda asked, value: sign * scorer.score(asked, value))
        judged = judge(settings["blenders"], data)
        chosen = choose(judged)
        context.progress(0.7, f"{chosen.name}: local and test rows")
        honest = chosen.honest if chosen.honest is not None else chosen.blender.predict(oof)
        weights = chosen.blender.weights(run.names)
        scores: dict[str, Any] = {
            "metric": scorer.name,
            "greater_is_better": scorer.metric.greater_is_better,
            "folds": {fold.name: fold.label for fold in run.folds},
            "members": {
                name: {**run.by_fold(oof[:, number]), "seeds": [entry["seed"] for entry in run.fits[name]]}
                for number, name in enumerate(run.names)
            },
            "blenders": {name: _blender_scores(one, sign, run) for name, one in judged.items()},
            "chosen": chosen.name,
            "weights": weights,
            "local_part": run.local_part,
            "blend": run.by_fold(honest) | {"local": {}},
            "local": {},
            "baselines": {},
            "left_out": dict(settings["left_out"]),
        }
        steps = [step.kind for step in prepared.competition.post]
        scores["post"] = {"steps": steps, **run.by_fold(run.post(run.asked, honest)), "local": {}}
        _save(run.asked, honest, context.folder / "oof.parquet")
        self._local(run, chosen, scores, context.folder)
        for name, member in scores["members"].items() if prepared.competition.quantiles else ():
            member["quantiles"] = run.quantiles(name)
        test = run.read_part("test", run.asked_test)
        _save(run.asked_test, chosen.blender.predict(test), context.folder / "test.parquet")
        _write_json(context.folder / "weights.json", {"blender": chosen.name, "weights": weights})
        _write_json(context.folder / "scores.json", scores)

    def _local(self, run: _Run, chosen: Judged, scores: dict[str, Any], folder: Path) -> None:
        """Local scores of members, blend and baselines, by models that never saw the local rows."""
        part, asked = run.local_part, run.asked_local
        if part is None or asked is None:
            for member in scores["members"].values():
                member["local"] = None
            return
        value = run.read_part(part, asked)
        for number, name in enumerate(run.names):
            scores["members"][name]["local"] = run.scorer.score(asked, value[:, number])
        blend = chosen.blender.predict(value)
        scores["local"] = scores["blend"]["local"] = run.scorer.scores(asked, blend)
        scores["post"]["local"] = run.scorer.scores(asked, run.post(asked, blend))
        for name, parts in run.settings["baselines"].items():
            if parts.get(part):
                predicted = averaged(parts[part], part, asked, run.folders, f"baseline {name}")
                scores["baselines"][name] = run.scorer.scores(asked, predicted)
        if part == "local":
            _save(asked, blend, folder / "local.parquet")


def blended_fits(
    config: Config, store: ArtifactStore, prepared: Prepared
) -> tuple[list[str], dict[str, list[SeedFits]], dict[str, str]]:
    """Names of the folds that a member must have; members: their complete seeds; left out: why."""
    folds = [part.name for part in chosen_parts(prepared, config.fit) if part.index >= 0]
    fits, left_out = complete_fits(Train().jobs(config, store), store, folds)
    for name in skipped_members(config, prepared.competition.task):
        left_out[name] = f"it is not made for {prepared.competition.task} tasks"
    return folds, fits, left_out


def blend_path(config: Config) -> str:
    """Of the artefact."""
    return f"blend/{config.size}"


def metric_files(config: Config) -> dict[str, str]:
    """python:FILE:FUNCTION: hash of FILE, so that a changed function is a changed setting."""
    found = {}
    for metric in config.competition.metric:
        kind, _, function = metric.name.partition(":")
        if kind.strip().lower() == "python":
            file = Path((function or str(metric.settings.get("function", ""))).rpartition(":")[0].strip())
            found[metric.name] = file_hash(file) if file.is_file() else ""
    return found


class _Run:
    """What one blend job reads."""

    def __init__(self, prepared: Prepared, settings: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
        self.prepared, self.settings, self.folders = prepared, settings, folders
        self.fits = settings["members"]
        self.names = sorted(self.fits)  # not in the order of the configuration: sums depend on it
        self.scorer = Scorer(prepared.competition, prepared.panel)
        self.folds: list[Fold] = [fold for fold in prepared.split.folds if fold.name in settings["folds"]]
        horizon, panel, split = prepared.horizon, prepared.panel, prepared.split
        self.asked = asked_of(panel, [(fold.index, fold.asked) for fold in self.folds], horizon)
        self.asked_test = asked_of(panel, [(split.test.index, split.test.asked)], horizon)
        self.local_part: str | None = None
        self.asked_local: Asked | None = None
        truth = read_truth(folders.get(SOLUTION))
        if split.local is not None:
            self.local_part = "local"
            self.asked_local = asked_of(panel, [(split.local.index, split.local.asked)], horizon)
        elif truth is not None:
            self.local_part = "test"
            self.asked_local = asked_of(panel, [(split.test.index, split.test.asked)], horizon, truth)

    def read_oof(self) -> np.ndarray:
        """(N, M, K) mean over seeds."""
        folds = {fold.name: fold.index for fold in self.folds}
        value = np.empty((len(self.asked), len(self.names), self.asked.truth.shape[1]))
        for number, name in enumerate(self.names):
            value[:, number] = out_of_fold(self.fits[name], self.asked, folds, self.folders, name)
        return value

    def read_part(self, part: str, asked: Asked) -> np.ndarray:
        """(N, M, K) mean over seeds and, where there is no refit, folds."""
        value = np.empty((len(asked), len(self.names), asked.truth.shape[1]))
        for number, name in enumerate(self.names):
            paths = [path for entry in self.fits[name] for path in entry[part]]
            value[:, number] = averaged(paths, part, asked, self.folders, name)
        return value

    def post(self, asked: Asked, value: np.ndarray) -> np.ndarray:
        """(N, K) after the competition's post-processing."""
        return apply_post(self.prepared.competition, self.prepared.panel, asked, value)

    def quantiles(self, name: str) -> dict[str, Any] | None:
        """Scores of a member's quantiles; None where it predicts points alone."""
        folds = {fold.name: fold.index for fold in self.folds}
        levels = self.prepared.competition.quantiles
        entry = QuantileScores(
            self.scorer, levels, folds, self.asked, self.local_part, self.asked_local, self.folders
        ).of(self.fits[name], name)
        if entry is not None:
            for metric, found in entry["metrics"].items():
                entry["metrics"][metric] = {**_summary(found["folds"]), "local": found["local"]}
        return entry

    def by_fold(self, value: np.ndarray) -> dict[str, Any]:
        """cv, cv_std and folds of out-of-fold predictions (N, K)."""
        folds = {}
        for fold in self.folds:
            rows = self.asked.fold == fold.index
            folds[fold.name] = self.scorer.score(self.asked.take(rows), value[rows])
        return _summary(folds)


def _summary(folds: dict[str, float]) -> dict[str, Any]:
    """Mean and standard deviation (of the sample; 0 for one fold) over folds whose score is defined."""
    defined = [score for score in folds.values() if np.isfinite(score)]
    return {
        "cv": float(np.mean(defined)) if defined else float("nan"),
        "cv_std": float(np.std(defined, ddof=1)) if len(defined) > 1 else 0.0,
        "folds": folds,
    }


def _blender_scores(one: Judged, sign: float, run: _Run) -> dict[str, Any]:
    folds = {fold.name: sign * one.loss.get(fold.index, float("nan")) for fold in run.folds}
    weights = one.blender.weights(run.names)
    return {**_summary(folds), "in_sample": sign * one.in_sample, "weights": weights}


def _save(asked: Asked, value: np.ndarray, file: Path) -> None:
    save_predictions(prediction_table(asked.row_id, asked.origin, value), file)


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(_without_nan(content), indent=1, allow_nan=False))


def _without_nan(content: Any) -> Any:
    """The same with null for numbers that are not finite: JSON has no NaN."""
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float):
        return float(content) if np.isfinite(content) else None
    return content
