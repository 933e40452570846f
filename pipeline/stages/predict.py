"""predict: forecasts of other test rows by the models of a submission, without fitting anything.

    predict/<name>/rows                          the new rows as the models know rows, and stateless features
    predict/<name>/fits/<member>/seed<n>/<part>  predictions by one fit
    predict/<name>/submission                    blended, post-processed and checked

Fits are used as they lie in the store: weights, what features learnt, scales. Members that have nothing to
learn beforehand (seasonal naive, and local statistical models, which are fitted to each series' own history)
do with the new histories what they do always. One that looks its predictions up (external) and lacks some of
the rows is left out, and the others' weights count.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.predictions import prediction_table, save_predictions
from data.raw_tables import competition_folder, raw_files
from data.tables import find_table
from models.members.catalogue import extras_of, member_class
from pipeline.config import Config
from pipeline.member_predictions import averaged
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.prepare import PREPARE, Prepared, file_hash
from pipeline.store import ArtifactStore
from pipeline.submitting.forecast import blended, make_rows, predict_one, rows_of, why_left_out
from pipeline.submitting.new_rows import with_files
from pipeline.submitting.source import Source
from pipeline.write_submission import asked_test_rows, layout_words, make_submission

SUBMISSION = "submission"


@STAGES.register("predict_fits")
class PredictFits(Stage):
    """The new rows, and one job for each fit: the first one of each member first."""

    name: ClassVar[str] = "predict_fits"
    version: ClassVar[int] = 2

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        source = Source.of(config, store)
        return [rows_job(config, source), *fit_jobs(config, source)]

    def run(self, job: Job, context: JobContext) -> None:
        (make_rows if job.settings["part"] == "rows" else predict_one)(job, context)


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
            "average": own.blend.fits,
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
        prepared = Prepared(context.inputs[rows_of(job)], later)
        asked = asked_test_rows(prepared)
        names = sorted(settings["fits"])
        how = settings["average"]
        value = np.stack(
            [
                averaged(settings["fits"][name], "test", asked, context.inputs, name, how=how)
                for name in names
            ],
            axis=1,
        )
        learnt: list[Any] = []
        blender = None
        if settings["blend"]:
            folder = context.inputs[settings["blend"]]
            learnt = [one["learnt"] for one in json.loads((folder / "post.json").read_text())["steps"]]
            blender, point = blended(folder, names, value, prepared, asked)
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
                "extras": extras_of(settings["kind"]),
                "plugins": list(source.config.plugins),
            }
            title = f"{name} {path.rpartition('/')[2]}"
            job = Job(PredictFits.name, place, own, inputs, PredictFits.version, title, details)
            jobs.append((number, member_class(settings["kind"]).cost, len(jobs), job))
    return [job for *_, job in sorted(jobs, key=lambda one: one[:3])]


def _folder(config: Config) -> str:
    return f"predict/{predicted_name(config)}"


def _raw_files(competition: Competition, folder: Path) -> dict[str, Path]:
    sample = competition.files.sample
    if sample is not None and find_table(folder, sample) is None:
        competition = replace(competition, files=replace(competition.files, sample=None))
    return raw_files(competition, folder)


def _finished(
    config: Config, source: Source, store: ArtifactStore
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Member: its fits that have predicted; and who is left out, and why.

    A budget leaves fits out, and a member that looks predictions up has none for some rows.
    """
    fits: dict[str, list[str]] = {name: [] for name in source.fits}
    undone: dict[str, int] = {}
    without: dict[str, str] = {}
    made = {job.settings["by"]: job for job in fit_jobs(config, source)}
    for name, paths in source.fits.items():  # in the order in which they were averaged for the submission
        for path in paths:
            if store.state(made[path]) != "done":
                undone[name] = undone.get(name, 0) + 1
                continue
            why = why_left_out(store.folder(made[path].path))
            if why is None:
                fits[name].append(made[path].path)
            else:
                without[name] = why
    left_out = {
        name: f"{count} of {len(source.fits[name])} fits did not predict in time"
        for name, count in undone.items()
    } | without
    fits = {name: paths for name, paths in fits.items() if paths}
    if not fits and without:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(f"stage=predict: every member of {source.name} is left out: {reasons}")
    if not fits:
        raise InputError(
            f"stage=predict: no fit of {', '.join(source.fits)} has predicted in time; a larger budget helps"
        )
    return fits, left_out
