"""blend: the members' predictions combined; weights from out-of-fold rows, scored on rows they never saw.

Left behind: scores.json, weights.json, blender.json (what the chosen one learnt), post.json (the steps of
post-processing and what they learnt), and the blend
before post-processing as oof.parquet (each row by weights that did not see it), local.parquet (where
there is a hold-out) and test.parquet, with quantiles where members have them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data.predictions import prediction_table, save_predictions
from data.scoring import Asked
from models.blenders.nested import Judged, choose, judge
from pipeline.blending.members import compared_members
from pipeline.blending.post import PostRun, post_run
from pipeline.blending.quantiles import (
    QuantileBlend,
    coverage,
    quantile_blend,
    quantile_scores,
    quantiles_by_fold,
)
from pipeline.blending.run import BlendRun, summary_of
from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.member_predictions import SeedFits, averaged, complete_fits, complete_parts, paths_of
from pipeline.quantile_scores import QuantileScores
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.baseline import Baseline
from pipeline.stages.prepare import PREPARE, SOLUTION, Prepared, file_hash
from pipeline.stages.train import Train, chosen_parts, skipped_members
from pipeline.store import ArtifactStore
from submissions.posts.base import Forecast

#: What blending costs, in units of one blend without a member (measured with 3 and 23 members).
_BLENDING = 4


@STAGES.register("blend")
class Blend(Stage):
    """One artefact blend/<size>; none where no member is complete."""

    name: ClassVar[str] = "blend"
    version: ClassVar[int] = 3

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
        folds, fits, left_out = blended_fits(config, store, prepared)
        if not fits or not folds:
            return []
        baselines = complete_parts(Baseline().jobs(config, store), store)
        static = prepared.competition.columns.static_categorical
        settings = {
            "blenders": list(config.blend.names),
            "fits": config.blend.fits,
            "group": config.blend.group or (static[0] if static else None),
            "recency": config.blend.recency,
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
        run = BlendRun(Prepared(context.inputs[PREPARE], later), settings, context.inputs)
        # What each member is worth asks for one blend a member, and is most of the work where they are many.
        blending = _BLENDING / (_BLENDING + len(run.names))

        def worth(share: float, text: str) -> None:
            context.progress(blending + (1 - blending) * share, text)

        context.progress(0.05 * blending, "read out-of-fold predictions")
        oof = run.oof()
        context.progress(0.2 * blending, "blenders")
        data = run.data(oof)
        judged = judge(settings["blenders"], data, settings["recency"])
        chosen = choose(judged)
        context.progress(0.6 * blending, f"{chosen.name}: quantiles and post-processing")
        honest = chosen.honest if chosen.honest is not None else chosen.blender.predict(oof, data.rows)
        quantiles = quantile_blend(run)
        forecast = _forecast(run, honest, None if quantiles is None else quantiles.oof)
        post = post_run(run, chosen, data, forecast, quantiles)
        context.progress(0.8 * blending, f"{chosen.name}: local and test rows")
        weights = chosen.blender.weights(run.names)
        scores: dict[str, Any] = {
            "metric": run.scorer.name,
            "greater_is_better": run.scorer.metric.greater_is_better,
            "folds": {fold.name: fold.label for fold in run.folds},
            "members": {
                name: {**run.by_fold(oof[:, number]), "seeds": [entry["seed"] for entry in run.fits[name]]}
                for number, name in enumerate(run.names)
            },
            "blenders": {name: _blender_scores(one, run) for name, one in judged.items()},
            "chosen": chosen.name,
            "weights": weights,
            "group": settings["group"],
            "recency": settings["recency"],
            "local_part": run.local_part,
            "blend": run.by_fold(honest) | {"local": {}},
            "local": {},
            "baselines": {},
            "left_out": dict(settings["left_out"]),
            "post": _post_scores(run, post),
            "quantiles": _quantile_scores(run, post, forecast, quantiles),
        }
        for name, member in scores["members"].items() if run.prepared.competition.quantiles else ():
            member["quantiles"] = _quantiles_of_member(run, name)
        _save(run.asked, forecast, context.folder / "oof.parquet")
        self._further_rows(run, chosen, quantiles, post, scores, context.folder)
        scores["compared"] = compared_members(run, chosen, data, worth)
        _write_json(context.folder / "weights.json", {"blender": chosen.name, "weights": weights})
        _write_json(context.folder / "blender.json", _stored_blender(chosen))
        _write_json(context.folder / "post.json", {"steps": post.steps()})
        _write_json(context.folder / "scores.json", scores)

    def _further_rows(
        self,
        run: BlendRun,
        chosen: Judged,
        quantiles: QuantileBlend | None,
        post: PostRun,
        scores: dict[str, Any],
        folder: Path,
    ) -> None:
        """The blend of local and test rows; local scores, by models that never saw the local rows."""
        if run.local_part is None:
            for member in scores["members"].values():
                member["local"] = None
        for part, asked in run.parts().items():
            value = run.part(part, asked)
            rows = run.rows(asked)
            found = None if quantiles is None else quantiles.part(part, asked)
            forecast = _forecast(run, chosen.blender.predict(value, rows), found)
            _save(asked, forecast, folder / f"{part}.parquet")
            if part != run.local_part:
                continue
            for number, name in enumerate(run.names):
                scores["members"][name]["local"] = run.scorer.score(asked, value[:, number])
            scores["local"] = scores["blend"]["local"] = run.scorer.scores(asked, forecast.point)
            after = [forecast, *post.after_each(asked, forecast)]
            for entry, one in zip(scores["post"]["after"], after[1:], strict=True):
                entry["local"] = run.scorer.score(asked, one.point)
            scores["post"]["local"] = run.scorer.scores(asked, after[-1].point)
            for state, one in (("blend", forecast), ("post", after[-1])) if quantiles is not None else ():
                assert one.quantiles is not None
                entry = scores["quantiles"][state]
                entry["local_coverage"] = coverage(run, asked, one.quantiles)
                for name, score in quantile_scores(run, asked, one.point, one.quantiles).items():
                    entry["metrics"][name]["local"] = score
            for name, parts in run.settings["baselines"].items():
                if parts.get(part):
                    predicted = averaged(parts[part], part, asked, run.folders, f"baseline {name}")
                    scores["baselines"][name] = run.scorer.scores(asked, predicted)


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


def _stored_blender(chosen: Judged) -> dict[str, Any]:
    """Name and state; state None, and why, for a plugin's that cannot be stored."""
    try:
        return {"name": chosen.name, "state": chosen.blender.state(), "why": ""}
    except TypeError as error:
        return {"name": chosen.name, "state": None, "why": str(error)}


def _forecast(run: BlendRun, point: np.ndarray, quantiles: np.ndarray | None) -> Forecast:
    levels = () if quantiles is None else tuple(run.prepared.competition.quantiles)
    return Forecast(point, quantiles, levels)


def _blender_scores(one: Judged, run: BlendRun) -> dict[str, Any]:
    folds = {fold.name: run.sign * one.loss.get(fold.index, float("nan")) for fold in run.folds}
    weights = one.blender.weights(run.names)
    return {**summary_of(folds), "in_sample": run.sign * one.in_sample, "weights": weights}


def _post_scores(run: BlendRun, post: PostRun) -> dict[str, Any]:
    """Of points after all steps, and after each; honest: no row was corrected by what saw it."""
    kinds = [step.kind for step in run.prepared.competition.post]
    after = [
        {"step": kind, **run.by_fold(one.point), "local": None}
        for kind, one in zip(kinds, post.oof, strict=True)
    ]
    last = post.oof[-1].point if post.oof else post.before.point
    return {"steps": kinds, **run.by_fold(last), "local": {}, "honest": post.honest, "after": after}


def _quantile_scores(
    run: BlendRun, post: PostRun, before: Forecast, quantiles: QuantileBlend | None
) -> dict[str, Any] | None:
    """Of the blended quantiles, before and after post-processing; None where there are none."""
    if quantiles is None:
        return None
    last = post.oof[-1] if post.oof else before
    assert before.quantiles is not None
    assert last.quantiles is not None
    return {
        **quantiles.scores(),
        "blend": quantiles_by_fold(run, before.point, before.quantiles),
        "post": quantiles_by_fold(run, last.point, last.quantiles),
    }


def _quantiles_of_member(run: BlendRun, name: str) -> dict[str, Any] | None:
    """Scores of a member's quantiles; None where it predicts points alone."""
    entry = QuantileScores(
        run.scorer,
        run.prepared.competition.quantiles,
        run.fold_index,
        run.asked,
        run.local_part,
        run.asked_local,
        run.folders,
        run.how,
    ).of(run.fits[name], name)
    if entry is not None:
        for metric, found in entry["metrics"].items():
            entry["metrics"][metric] = {**summary_of(found["folds"]), "local": found["local"]}
    return entry


def _save(asked: Asked, forecast: Forecast, file: Path) -> None:
    value = forecast.point
    if forecast.quantiles is not None:
        value = np.concatenate([value[:, :, None], forecast.quantiles], axis=2)
    save_predictions(prediction_table(asked.row_id, asked.origin, value, forecast.levels), file)


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
