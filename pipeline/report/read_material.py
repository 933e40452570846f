"""Reads a report's material from the artefacts of one run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.predictions import POINT, load_predictions
from data.scoring import Asked, Scorer, align, asked_of
from pipeline.member_predictions import averaged, out_of_fold
from pipeline.report.fits import manifests_below, read_fit
from pipeline.report.material import Forecasts, Material, Who
from pipeline.report.studies import read_studies
from pipeline.stage import Job, JobContext
from pipeline.stages.check import read_check
from pipeline.stages.prepare import PREPARE, SOLUTION, Prepared, local_rows
from submissions.post import Learnt, apply_posts
from submissions.posts.base import Forecast


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
    panel = prepared.panel
    part, asked = local_rows(prepared, folders.get(SOLUTION))
    if part is None or asked is None:
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
