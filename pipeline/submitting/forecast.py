"""Forecasting other test rows by stored fits: the work of the jobs of stage=predict. Nothing here fits."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.errors import InputError, OutOfTime, RowsNotGiven
from data.folds import Origins
from data.input_constants import InputConstants
from data.inputs import Block
from data.predictions import check_complete, save_predictions
from data.schema import Column
from data.scoring import Asked, asked_of
from data.split import save_split
from features.base import Feature
from features.build import build_features
from models.blenders.base import BLENDERS, weighted
from models.members.base import FitTask, Member
from models.members.catalogue import make_member
from pipeline.blending.run import blend_rows
from pipeline.competition_file import competition_from, save_competition
from pipeline.manifest import read_manifest
from pipeline.stage import Job, JobContext
from pipeline.stages.features import parts_of
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.stages.train import CONSTANTS, task_of
from pipeline.submitting.new_rows import new_panel, new_split, read_tables, rows_that_show
from pipeline.submitting.source import PREDICTIONS, needed_members

MODEL = ".model"  # a copy of the fit that a member may write into; removed with all that begins with a dot
#: Beside the fit's settings where it has no predictions of the new rows: why not.
LEFT_OUT = "left_out.json"
#: Windows between two looks at the clock. A multiple of what networks are given at once, so that no batch is
#: another one than without a budget.
WINDOWS_BETWEEN_LOOKS = 4096


def rows_of(job: Job) -> str:
    """Path of the new rows' artefact, among a job's inputs."""
    return next(path for path in job.inputs if path.endswith("/rows"))


def make_rows(job: Job, context: JobContext) -> None:
    """The new rows as prepare leaves rows, in the codes of the fitted ones; and their stateless features."""
    fitted = Prepared(context.inputs[PREPARE])
    competition = competition_from(job.settings["competition"])
    tables = read_tables(competition, Path(job.details["folder"]), job.settings["columns"])
    tables = rows_that_show(tables, fitted.panel)
    context.progress(0.4, "rows and columns")
    panel = new_panel(tables, fitted)
    panel.save(context.folder / "panel")
    save_split(new_split(panel, fitted), context.folder)
    own = replace(fitted.competition)
    if own.task == "horizon":
        own.horizon = fitted.horizon  # which the old test file may have told
    save_competition(own, context.folder)
    if tables.sample is not None:
        tables.sample.to_parquet(context.folder / "sample.parquet", index=False)
    meta = {
        "horizon": fitted.horizon,
        "asked": int(panel.test.sum()),
        "series": len(np.unique(panel.series_of_row()[panel.test])),
        "notes": list(panel.notes),
    }
    (context.folder / "meta.json").write_text(json.dumps(meta, indent=1))
    context.progress(0.6, "features")
    for name, feature in build_features(own, panel, job.settings["features"]):
        if not feature.fitted:
            folder = context.folder / "features" / name
            folder.mkdir(parents=True)
            values = feature.transform(own, panel, feature.reference(own, fitted.panel))
            np.save(folder / "values.npy", values)
            columns = [column._asdict() for column in feature.columns(own, fitted.panel)]
            assert values.shape[1] == len(columns), name
            (folder / "columns.json").write_text(json.dumps(columns))


def predict_one(job: Job, context: JobContext) -> None:
    """Predictions of the new rows by one stored fit: test.parquet; or why it has none: left_out.json.

    Raises OutOfTime at the deadline.
    """
    settings: Mapping[str, Any] = job.details["train"]
    rows = rows_of(job)
    prepared = Prepared(context.inputs[rows])
    fold = next(part for part in parts_of(prepared) if part.name == settings["fold"])
    lies = context.inputs[job.settings["by"]]
    constants = lies / CONSTANTS
    if not constants.exists():
        raise InputError(
            f"{lies}: fitted by older code, which kept no scales; remove the folder and fit it again"
        )
    model = context.folder / MODEL
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(lies, model, ignore=shutil.ignore_patterns(*PREDICTIONS, "manifest.json"))
    blocks = [
        _block(name, feature, context, rows, job, prepared)
        for name, feature in build_features(prepared.competition, prepared.panel, settings["features"])
    ]
    task = task_of(settings, prepared, fold, blocks, context, InputConstants.load(constants))
    device = job.details["device"]
    fit = task.fit if device == "auto" else replace(task.fit, device=device)
    task = replace(task, folder=model, fit=fit)
    member = make_member(settings["kind"], settings["member"])
    asked = prepared.split.test.asked
    try:
        table = _predictions(member, task, asked, context)
    except RowsNotGiven as error:
        (context.folder / LEFT_OUT).write_text(json.dumps({"why": str(error)}))
        return
    wanted = asked_of(prepared.panel, [(fold.index, asked)], prepared.horizon)
    check_complete(table, wanted.row_id, wanted.origin, job.path, wanted.truth.shape[1])
    save_predictions(table, context.folder / "test.parquet")


def why_left_out(folder: Path) -> str | None:
    """Why the artefact of a fit has no predictions; None where it has."""
    file = folder / LEFT_OUT
    return str(json.loads(file.read_text())["why"]) if file.exists() else None


def _predictions(member: Member, task: FitTask, asked: Origins, context: JobContext) -> pd.DataFrame:
    """Of all windows, some at a time. Raises OutOfTime at the deadline."""
    tables = []
    for first in range(0, max(1, len(asked.row)), WINDOWS_BETWEEN_LOOKS):
        if context.deadline is not None and time.monotonic() > context.deadline:
            raise OutOfTime(f"after {first} of {len(asked.row)} windows")
        context.progress(first / max(1, len(asked.row)), f"window {first}/{len(asked.row)}")
        part = slice(first, first + WINDOWS_BETWEEN_LOOKS)
        tables.append(member.predict(task, Origins(asked.series[part], asked.row[part]), "test"))
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def _block(
    name: str, feature: Feature, context: JobContext, rows: str, job: Job, prepared: Prepared
) -> Block:
    """A family's columns of the new rows; of a fitted one by what it learnt then."""
    if not feature.fitted:
        folder = context.inputs[rows] / "features" / name
        columns = tuple(Column(**one) for one in json.loads((folder / "columns.json").read_text()))
        return Block(columns, np.load(folder / "values.npy", mmap_mode="r"))
    train = job.details["train"]
    folder = next(context.inputs[path] for path in job.inputs if path == f"features/{name}.{train['fold']}")
    made = read_manifest(folder)
    if made is not None and made.settings["version"] != feature.version:
        raise InputError(
            f"{folder}: fitted by other code (version {made.settings['version']} of the family, now"
            f" {feature.version}); remove the folder and fit it again"
        )
    with np.load(folder / "parameters.npz") as stored:
        learnt = {key: stored[key] for key in stored.files}
    moved = feature.moved(learnt, prepared.panel.series_when_fitted())
    columns = feature.columns(prepared.competition, prepared.panel)
    return Block(columns, feature.transform(prepared.competition, prepared.panel, moved))


def blended(
    folder: Path, names: list[str], value: np.ndarray, prepared: Prepared, asked: Asked
) -> tuple[str, np.ndarray]:
    """Name of the blender, and (N, K) from the members `names` (N, M, K).

    Where a budget, or a file without these rows, has left one without any prediction, the weights of the
    others count, or else their mean.
    """
    stored = json.loads((folder / "blender.json").read_text())
    scores = json.loads((folder / "scores.json").read_text())
    if set(names) != set(needed_members(folder)):
        weights = scores["weights"] or {}
        weight = np.array([float(weights.get(name, 0.0)) for name in names])
        named = f"{stored['name']} of those that are there"
        if weight.sum() <= 0:
            weight, named = np.ones(len(names)), "mean of those that are there"
        return named, weighted(value, weight / weight.sum())
    if stored["state"] is None:
        raise InputError(f"blender {stored['name']}: it cannot be used again: {stored['why']}")
    everyone = np.zeros(
        (len(value), len(scores["members"]), value.shape[2])
    )  # weight 0 for who is not needed
    everyone[:, np.isin(sorted(scores["members"]), names)] = value
    blender = BLENDERS.get(stored["name"]).from_state(stored["state"])
    return stored["name"], blender.predict(everyone, blend_rows(prepared, asked, scores["group"]))
