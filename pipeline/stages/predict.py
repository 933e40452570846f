"""predict: forecasts of other test rows by the models of a submission, without fitting anything.

    predict/<name>/rows                          the new rows as the models know rows, and stateless features
    predict/<name>/fits/<member>/seed<n>/<part>  predictions by one fit
    predict/<name>/submission                    blended, post-processed and checked

Fits are used as they lie in the store: weights, what features learnt, scales. Members that have nothing to
learn beforehand (seasonal naive, and local statistical models, which are fitted to each series' own history)
do with the new histories what they do always.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data.errors import InputError, OutOfTime
from data.folds import Origins
from data.input_constants import InputConstants
from data.inputs import Block
from data.predictions import check_complete, prediction_table, save_predictions
from data.raw_tables import competition_folder, raw_files
from data.schema import Column
from data.scoring import asked_of
from data.split import save_split
from features.build import build_features
from models.blenders.base import BLENDERS, weighted
from models.members.catalogue import make_member, member_class
from pipeline.blending.run import blend_rows
from pipeline.competition_file import competition_from, save_competition
from pipeline.config import Config
from pipeline.member_predictions import averaged
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.features import parts_of
from pipeline.stages.prepare import PREPARE, Prepared, file_hash
from pipeline.stages.train import CONSTANTS, task_of
from pipeline.store import ArtifactStore
from pipeline.submitting.new_rows import (
    new_panel,
    new_split,
    read_tables,
    rows_that_show,
    same_series,
    with_files,
)
from pipeline.submitting.source import PREDICTIONS, Source, needed_members
from pipeline.write_submission import asked_test_rows, layout_words, make_submission

SUBMISSION = "submission"
MODEL = ".model"  # a copy of the fit that a member may write into; removed with all that begins with a dot
#: Windows between two looks at the clock. A multiple of what networks are given at once, so that no batch is
#: another one than without a budget.
WINDOWS_BETWEEN_LOOKS = 4096


@STAGES.register("predict_fits")
class PredictFits(Stage):
    """The new rows, and one job for each fit: the first one of each member first."""

    name: ClassVar[str] = "predict_fits"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        source = Source.of(config, store)
        return [rows_job(config, source), *fit_jobs(config, source)]

    def run(self, job: Job, context: JobContext) -> None:
        (_make_rows if job.settings["part"] == "rows" else _predict_one)(job, context)


@STAGES.register("predict")
class Predict(Stage):
    """One artefact: submission.csv and submission.json, by the fits that are there."""

    name: ClassVar[str] = "predict"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        source = Source.of(config, store)
        fits, left_out = _finished(config, source, store)
        own = source.config
        settings: dict[str, Any] = {
            "name": predicted_name(config),
            "by": source.name,
            "fits": fits,
            "left_out": left_out,
            "blend": source.blend,
            "post": own.submit.post,
            "steps": [asdict(step) for step in own.competition.post],
            "submission": asdict(own.competition.submission),
        }
        inputs = [rows_path(config), *([source.blend] if source.blend else [])]
        inputs += [path for paths in fits.values() for path in paths]
        details = {"plugins": list(own.plugins)}
        path = f"{_folder(config)}/{SUBMISSION}"
        title = f"submission {settings['name']}"
        return [Job(self.name, path, settings, tuple(inputs), self.version, title, details)]

    def run(self, job: Job, context: JobContext) -> None:
        settings = job.settings
        later = {"submission": settings["submission"], "post": settings["steps"]}
        prepared = Prepared(context.inputs[_rows_of(job)], later)
        asked = asked_test_rows(prepared)
        names = sorted(settings["fits"])
        value = np.stack(
            [averaged(settings["fits"][name], "test", asked, context.inputs, name) for name in names], axis=1
        )
        learnt: list[Any] = []
        blender = None
        if settings["blend"]:
            folder = context.inputs[settings["blend"]]
            learnt = [one["learnt"] for one in json.loads((folder / "post.json").read_text())["steps"]]
            blender, point = _blended(folder, names, value, prepared, asked)
        else:
            point = value[:, 0]
        test = prediction_table(asked.row_id, asked.origin, point)
        save_predictions(test, context.folder / "test.parquet")
        file = context.folder / "submission.csv"
        layout = make_submission(prepared, test, file, settings["post"], learnt)
        content = {
            **layout_words(layout),
            "by": settings["by"],
            "blender": blender,
            "members": {name: len(paths) for name, paths in settings["fits"].items()},
            "left_out": settings["left_out"],
        }
        (context.folder / "submission.json").write_text(json.dumps(content, indent=1))


def predicted_name(config: Config) -> str:
    """Name of the CSV without its suffix: submit.name, else that of the submission and of the test file."""
    from pipeline.stages.submit import submission_name

    if config.submit.name:
        return submission_name(config)
    stem = Path(config.competition.files.test or "asked").name.partition(".")[0]
    return f"{config.competition.name}-{config.size}-{stem}"


def rows_path(config: Config) -> str:
    """Of the artefact."""
    return f"{_folder(config)}/rows"


def rows_job(config: Config, source: Source) -> Job:
    """The job that reads the new rows."""
    own = source.config.competition
    folder = competition_folder(
        replace(own, root=config.competition.root or own.root), Path(config.root)
    ).absolute()
    competition = with_files(own, config.competition, folder)
    files = {name: file_hash(path) for name, path in _raw_files(competition, folder).items()}
    settings = {
        "part": "rows",
        "competition": {**asdict(competition), "root": None, "title": "", "kaggle": None, "sizes": {}},
        "files": files,
        "columns": list(source.kept.manifest["csv"]["columns"]),
        "features": source.feature_settings(),
    }
    details = {"folder": str(folder), "plugins": list(source.config.plugins)}
    return Job(
        PredictFits.name, rows_path(config), settings, (PREPARE,), PredictFits.version, "read rows", details
    )


def fit_jobs(config: Config, source: Source) -> list[Job]:
    """A job for each fit; of each member one before any has a second, quick members first."""
    jobs: list[tuple[int, int, int, Job]] = []
    for name, paths in source.fits.items():
        for number, path in enumerate(paths):
            settings = source.settings(path)
            own = {"part": "fit", "fit": settings["fit"], "by": path}
            place = f"{_folder(config)}/fits/{name}/{'/'.join(path.split('/')[-2:])}"
            inputs = (rows_path(config), path, *source.fitted_features(path))
            # A group of its own: a budget gives up single fits, and what is left of a member is averaged.
            details = {
                "group": place,
                "train": settings,
                "device": config.fit.device,  # of this machine, where it says; else as it was fitted
                "plugins": list(source.config.plugins),
            }
            title = f"{name} {path.rpartition('/')[2]}"
            job = Job(PredictFits.name, place, own, inputs, PredictFits.version, title, details)
            jobs.append((number, member_class(settings["kind"]).cost, len(jobs), job))
    return [job for *_, job in sorted(jobs, key=lambda one: one[:3])]


def _folder(config: Config) -> str:
    return f"predict/{predicted_name(config)}"


def _rows_of(job: Job) -> str:
    return next(path for path in job.inputs if path.endswith("/rows"))


def _raw_files(competition: Any, folder: Path) -> dict[str, Path]:
    from data.tables import find_table

    sample = competition.files.sample
    if sample is not None and (not folder.is_dir() or find_table(folder, sample) is None):
        competition = replace(competition, files=replace(competition.files, sample=None))
    return raw_files(competition, folder)


def _finished(
    config: Config, source: Source, store: ArtifactStore
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Member: its fits that have predicted; and who is left out, and why."""
    fits: dict[str, list[str]] = {name: [] for name in source.fits}
    undone: dict[str, int] = {}
    made = {job.settings["by"]: job for job in fit_jobs(config, source)}
    for name, paths in source.fits.items():  # in the order in which they were averaged for the submission
        for path in paths:
            if store.state(made[path]) == "done":
                fits[name].append(made[path].path)
            else:
                undone[name] = undone.get(name, 0) + 1
    left_out = {
        name: f"{count} of {len(source.fits[name])} fits did not predict in time"
        for name, count in undone.items()
    }
    fits = {name: paths for name, paths in fits.items() if paths}
    if not fits:
        raise InputError(
            f"stage=predict: no fit of {', '.join(source.fits)} has predicted in time; a larger budget helps"
        )
    return fits, left_out


def _make_rows(job: Job, context: JobContext) -> None:
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
    number = same_series(panel, fitted.panel)
    np.save(context.folder / "series.npy", number)
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
            np.save(folder / "values.npy", feature.transform(own, panel))
            columns = [column._asdict() for column in feature.columns(own, panel)]
            (folder / "columns.json").write_text(json.dumps(columns))


def _predict_one(job: Job, context: JobContext) -> None:
    settings: Mapping[str, Any] = job.details["train"]
    rows = _rows_of(job)
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
    tables = []
    for first in range(0, max(1, len(asked.row)), WINDOWS_BETWEEN_LOOKS):
        if context.deadline is not None and time.monotonic() > context.deadline:
            raise OutOfTime(f"after {first} of {len(asked.row)} windows")
        context.progress(first / max(1, len(asked.row)), f"window {first}/{len(asked.row)}")
        part = slice(first, first + WINDOWS_BETWEEN_LOOKS)
        tables.append(member.predict(task, Origins(asked.series[part], asked.row[part]), "test"))
    import pandas as pd

    table = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    wanted = asked_of(prepared.panel, [(fold.index, asked)], prepared.horizon)
    check_complete(table, wanted.row_id, wanted.origin, job.path, wanted.truth.shape[1])
    save_predictions(table, context.folder / "test.parquet")


def _block(name: str, feature: Any, context: JobContext, rows: str, job: Job, prepared: Prepared) -> Block:
    """A family's columns of the new rows; of a fitted one by what it learnt then."""
    if not feature.fitted:
        folder = context.inputs[rows] / "features" / name
        columns = tuple(Column(**one) for one in json.loads((folder / "columns.json").read_text()))
        return Block(columns, np.load(folder / "values.npy", mmap_mode="r"))
    train = job.details["train"]
    folder = next(context.inputs[path] for path in job.inputs if path == f"features/{name}.{train['fold']}")
    with np.load(folder / "parameters.npz") as stored:
        learnt = {key: stored[key] for key in stored.files}
    moved = feature.moved(learnt, np.load(context.inputs[rows] / "series.npy"))
    columns = feature.columns(prepared.competition, prepared.panel)
    return Block(columns, feature.transform(prepared.competition, prepared.panel, moved))


def _blended(
    folder: Path, names: list[str], value: np.ndarray, prepared: Prepared, asked: Any
) -> tuple[str, np.ndarray]:
    """Name of the blender, and (N, K) from the members `names` (N, M, K).

    Where a budget has left one without any prediction, the weights of the others count, or else their mean.
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
