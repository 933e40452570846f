"""train: every member, fold and seed is one job: fit on the fold's training part, predict what is asked.

Fold artefacts hold oof, local and test predictions. A refit fits the same settings once more: `local` on all
rows but the hold-out, for the local score, and `all` on everything, for the submission.
"""

from __future__ import annotations

import importlib
import json
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
from omegaconf import OmegaConf

from data.errors import InputError
from data.folds import Fold, Origins
from data.input_constants import InputConstants
from data.inputs import Block, build_inputs
from data.metrics import make_metric
from data.predictions import check_complete, save_predictions
from data.scoring import asked_of
from data.settings import Windows
from features.build import build_features
from models.members.base import FitTask, Member
from models.members.catalogue import extras_of, make_member, member_class, member_tasks
from models.members.epoch_log import best_epoch
from models.settings import Fit, with_own
from pipeline import pseudo_labels
from pipeline.allocator import freed_memory_kept
from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.member_memory import has_memory, measure_memory
from pipeline.names import FEATURES, KIND, OWN_GROUPS
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.features import feature_inputs, feature_path, parts_of, read_block
from pipeline.stages.prepare import PREPARE, Prepared, hash_if_there
from pipeline.store import ArtifactStore

#: Settings of a fit that choose which fits there are and what is measured of them, not how one of them goes;
#: and `strategy`, which says no more than `devices` does.
NOT_OF_ONE_FIT = ("seeds", "folds", "refit", "refit_epochs", "memory", "strategy")

#: How inputs were scaled, beside the fitted model: other rows are scaled alike.
CONSTANTS = "inputs.npz"


@STAGES.register("train")
class Train(Stage):
    """train/<size>/<member>/seed<n>/<fold>: predictions, the fitted model and fit.json."""

    name: ClassVar[str] = "train"
    version: ClassVar[int] = 3

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
        names = sorted(config.members, key=lambda name: member_class(config.member[name]["kind"]).cost)
        jobs = []
        for name in names:
            if prepared.competition.task not in member_tasks(config.member[name]["kind"]):
                continue
            jobs += member_jobs(config, prepared, name, config.member[name], f"train/{config.size}/{name}")
        return jobs

    def run(self, job: Job, context: JobContext) -> None:
        fit_and_predict(job, context)


def skipped_members(config: Config, task: str) -> list[str]:
    """Members of the list that are not made for this kind of task."""
    return [name for name in config.members if task not in member_tasks(config.member[name]["kind"])]


def member_jobs(
    config: Config,
    prepared: Prepared,
    name: str,
    settings: Mapping[str, Any],
    path: str,
    only: list[Fold] | None = None,
) -> list[Job]:
    """All fits of one member: seeds x (folds, refits), or seeds x `only`."""
    kind, own, fit, windows = member_settings(config, settings)
    features = member_features(config, settings)
    chosen = member_class(kind)
    metric = make_metric(config.competition.metric[0].name, config.competition.metric[0].settings)
    parts = chosen_parts(prepared, fit) if only is None else only
    fit_settings = _read(asdict(fit), chosen.reads_fit, NOT_OF_ONE_FIT)
    window_settings = _read(asdict(windows), chosen.reads_windows)
    reads_loss = "loss" in fit_settings
    first_fold = next((part for part in parts if part.index >= 0), None)
    jobs = []
    for seed in range(config.seed, config.seed + (fit.seeds if chosen.every_seed else 1)):
        for part in parts:
            inputs: tuple[str, ...] = (PREPARE,)
            if chosen.uses_features:
                inputs += feature_inputs(prepared, features, part)
            everything = {
                "kind": kind,
                "member": own,
                "member_version": chosen.version,
                "files": {name: hash_if_there(name) for name in chosen.files(own)},
                "fit": fit_settings,
                "windows": window_settings,
                "context": prepared.context(window_settings.get("context")),
                "seed": seed,
                "fold": part.name,
                "predict": predicted_parts(part, prepared, [fold.name for fold in parts]),
                "loss": metric.loss_hint if reads_loss else "",
                "scale_free": metric.scale_free if reads_loss else False,
                "features": features if chosen.uses_features else {},
            }
            if chosen.predicts_quantiles:
                everything["quantiles"] = list(config.competition.quantiles)
            if has_memory(chosen) and part is first_fold and seed == config.seed:
                everything["memory"] = fit.memory
            where = f"{path}/seed{seed}"
            if part.index < 0 and _epochs_by_folds(chosen, fit):
                found = [f"{where}/{artefact_name(fold)}" for fold in parts if fold.index >= 0]
                if found:
                    everything["epochs_of"] = found
                    inputs += tuple(found)
            labels = settings.get(pseudo_labels.GROUP)
            if labels is not None:
                fits = pseudo_labels.teachers(config, labels, path.rpartition("/")[0], artefact_name(part))
                everything["pseudo_labels"] = {"of": fits, "weight": labels["weight"]}
                inputs += tuple(one for paths in fits.values() for one in paths)
            details = {"group": f"{path}", "plugins": list(config.plugins), "extras": extras_of(kind)}
            where = f"{where}/{artefact_name(part)}"
            title = f"{name} {artefact_name(part)} seed {seed}"
            jobs.append(Job("train", where, everything, inputs, Train.version, title, details))
    return jobs


def _epochs_by_folds(member: type[Member], fit: Fit) -> bool:
    """Whether a refit trains as long as its folds' fits found best, instead of holding rows back again."""
    return member.reports_epochs and fit.early_stopping and fit.refit_epochs == "folds"


def _read(
    settings: Mapping[str, Any], names: tuple[str, ...] | None, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Those that a member reads (None: all); what is not there it sees at its default."""
    read = settings if names is None else names
    assert set(read) <= set(settings), f"{set(read) - set(settings)} are no settings"
    return {key: value for key, value in settings.items() if key in read and key not in without}


def member_settings(config: Config, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any], Fit, Windows]:
    """Kind, own settings, and the fit and windows settings with the member's own above the run's."""
    own = {key: value for key, value in settings.items() if key not in (KIND, *OWN_GROUPS)}
    fit = with_own(config.fit, settings.get("fit"))
    if fit.head == "bins" and not {"start", "step", "count"} & set(fit.head_settings):
        fit = replace(fit, head_settings={**grid_of(config), **fit.head_settings})
    windows = replace(config.windows, **(settings.get("windows") or {}))
    return str(settings["kind"]), own, fit, windows


def member_features(config: Config, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The competition's families, less those that the member does without (member.<name>.features)."""
    hidden = {family for family, shown in (settings.get(FEATURES) or {}).items() if not shown}
    return {name: own for name, own in config.competition.features.items() if name not in hidden}


def grid_of(config: Config) -> dict[str, Any]:
    """start, step and count of the grid that predictions are rounded to; {} where there is none."""
    steps = [step.settings for step in config.competition.post if step.kind == "grid"]
    return {name: steps[0][name] for name in ("start", "step", "count")} if steps else {}


def chosen_parts(prepared: Prepared, fit: Fit) -> list[Fold]:
    """The folds that run, then the refits. Raises InputError for a fold that the split does not have."""
    split = prepared.split
    if set(fit.folds or []) - {fold.index for fold in split.folds}:
        raise InputError(
            f"fit.folds: found {fit.folds}, expected fold numbers from 0 to {len(split.folds) - 1}"
        )
    wanted = range(len(split.folds)) if fit.folds is None else fit.folds
    parts = [fold for fold in split.folds if fold.index in wanted]
    refit = fit.refit
    if refit == "auto":
        refit = "all" if prepared.competition.task == "horizon" else "none"
    if refit == "all":
        parts += [split.local] if split.local else []
        parts += [split.test]
    return parts


def artefact_name(part: Fold) -> str:
    """fold0, ..., local, all."""
    return "all" if part.name == "test" else part.name


def predicted_parts(part: Fold, prepared: Prepared, fitted: list[str]) -> list[str]:
    """What a fit predicts: a refit its own part; a fold its out-of-fold rows, and what no refit predicts."""
    if part.name in ("local", "test"):
        return [part.name]
    rest = ["local"] if prepared.split.local else []
    return ["oof", *[name for name in [*rest, "test"] if name not in fitted]]


@freed_memory_kept()
def fit_and_predict(job: Job, context: JobContext) -> None:
    """Do one train job (also the baselines')."""
    started = time.monotonic()
    settings = job.settings
    prepared = Prepared(context.inputs[PREPARE])
    competition, panel, split = prepared.competition, prepared.panel, prepared.split
    fold = next(part for part in parts_of(prepared) if part.name == settings["fold"])
    features = build_features(competition, panel, settings["features"])
    blocks = [
        read_block(feature, context.inputs[feature_path(name, fold if feature.fitted else None)], prepared)
        for name, feature in features
    ]
    task = task_of(settings, prepared, fold, blocks, context)
    task = replace(task, epoch_ended=_epoch_ended(job, prepared, fold))
    if "pseudo_labels" in settings:
        labels = settings["pseudo_labels"]
        task = pseudo_labels.with_pseudo_labels(
            task, prepared, labels["of"], labels["weight"], context.inputs
        )
    if "epochs_of" in settings:
        epochs = round(float(np.mean([best_epoch(context.inputs[path]) for path in settings["epochs_of"]])))
        task = replace(task, fit=replace(task.fit, early_stopping=False, max_epochs=max(1, epochs)))
    task.inputs.constants.save(context.folder / CONSTANTS)
    member = make_member(settings["kind"], settings["member"])
    member.fit(task)
    fitted = time.monotonic()
    asked: dict[str, Origins | None] = {
        "oof": fold.asked,
        "local": split.local.asked if split.local else None,
        "test": split.test.asked,
    }
    for part in settings["predict"]:
        origins = asked[part]
        assert origins is not None
        context.progress(0.96, f"predict {part}")
        table = member.predict(task, origins, part)
        rows = asked_of(panel, [(fold.index, origins)], prepared.horizon)
        check_complete(table, rows.row_id, rows.origin, f"{job.path}, {part}", rows.truth.shape[1])
        save_predictions(table, context.folder / f"{part}.parquet")
    summary = {
        "fit_seconds": fitted - started,
        "predict_seconds": time.monotonic() - fitted,
        "parameters": member.parameters(task),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    (context.folder / "fit.json").write_text(json.dumps(summary, indent=1))
    interpretation = member.interpretation(task)
    if interpretation is not None:
        interpretation.save(context.folder)
    if settings.get("memory"):
        context.progress(0.98, "measure memory")
        measure_memory(member, task)


def task_of(
    settings: Mapping[str, Any],
    prepared: Prepared,
    fold: Fold,
    blocks: Sequence[Block],
    context: JobContext,
    constants: InputConstants | None = None,
) -> FitTask:
    """What a member is given by the settings of a train job. constants: of a fit, for other rows than its."""
    competition, panel = prepared.competition, prepared.panel
    windows = Windows(**settings["windows"])
    inputs = build_inputs(
        competition,
        panel,
        blocks,
        fold,
        settings["context"],
        prepared.horizon,
        settings.get("quantiles", ()),
        scaling=windows.input_scaling,
        constants=constants,
    )
    return FitTask(
        competition=competition,
        panel=panel,
        inputs=inputs,
        fold=fold,
        windows=windows,
        fit=Fit(**{key: _plain(value) for key, value in settings["fit"].items()}),
        seed=settings["seed"],
        folder=context.folder,
        loss=settings["loss"],
        scale_free=settings["scale_free"],
        progress=lambda share, text: context.progress(0.95 * share, text),
        deadline=context.deadline,
    )


def _epoch_ended(job: Job, prepared: Prepared, fold: Fold) -> Any:
    """What is told of epochs, for the trial of a study; None for all other fits."""
    if "tune" not in job.details:
        return None
    reporter = importlib.import_module("pipeline.tuning.epochs").epoch_reporter
    metric = Prepared(prepared.folder, job.details["tune"]["later"])
    return reporter(job.details, metric, fold)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
