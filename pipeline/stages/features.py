"""features: every family's columns once, apart, as a matrix that later stages map into memory.

Stateless families give `values.npy`; fitted ones give one artefact a fold with their parameters, and their
columns are made when that fold's windows are cut.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data.folds import Fold
from data.inputs import Block, training_rows
from data.schema import Column
from features.base import Feature
from features.build import build_features
from pipeline.config import Config
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.store import ArtifactStore


@STAGES.register("features")
class Features(Stage):
    """One artefact a family: features/<name>, or features/<name>.<fold> where it is fitted."""

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 2

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        prepared = Prepared(store.folder(PREPARE))
        jobs = []
        for name, feature in build_features(
            prepared.competition, prepared.panel, config.competition.features
        ):
            settings = {
                "name": name,
                "settings": config.competition.features[name],
                "version": feature.version,
            }
            details = {"plugins": list(config.plugins)}
            for fold in parts_of(prepared) if feature.fitted else [None]:
                path = feature_path(name, fold)
                own = settings if fold is None else {**settings, "fold": fold.name}
                jobs.append(Job(self.name, path, own, (PREPARE,), self.version, f"feature {name}", details))
        return jobs

    def run(self, job: Job, context: JobContext) -> None:
        prepared = Prepared(context.inputs[PREPARE])
        name = job.settings["name"]
        [(_, feature)] = build_features(
            prepared.competition, prepared.panel, {name: job.settings["settings"]}
        )
        columns = feature.columns(prepared.competition, prepared.panel)
        if "fold" in job.settings:
            fold = next(fold for fold in parts_of(prepared) if fold.name == job.settings["fold"])
            parameters = feature.fit(
                prepared.competition, prepared.panel, training_rows(prepared.panel, fold)
            )
            np.savez(context.folder / "parameters.npz", **parameters)  # type: ignore[arg-type]
        else:
            values = feature.transform(prepared.competition, prepared.panel)
            np.save(context.folder / "values.npy", values)
        content = [column._asdict() for column in columns]
        (context.folder / "columns.json").write_text(json.dumps(content, indent=1))


def parts_of(prepared: Prepared) -> list[Fold]:
    """Everything that may be fitted on: the folds, the refit before the local hold-out, the refit on all."""
    split = prepared.split
    return [*split.folds, *([split.local] if split.local else []), split.test]


def feature_path(name: str, fold: Fold | None) -> str:
    """Of the artefact."""
    return f"features/{name}" if fold is None else f"features/{name}.{fold.name}"


def feature_inputs(prepared: Prepared, settings: dict[str, Any], fold: Fold) -> tuple[str, ...]:
    """Paths of the feature artefacts that a fit of `fold` reads."""
    features = build_features(prepared.competition, prepared.panel, settings)
    return tuple(feature_path(name, fold if feature.fitted else None) for name, feature in features)


def read_block(feature: Feature, folder: Path, prepared: Prepared) -> Block:
    """Columns and values of one family from its artefact."""
    columns = tuple(Column(**content) for content in json.loads((folder / "columns.json").read_text()))
    if feature.fitted:
        with np.load(folder / "parameters.npz") as stored:
            parameters = {name: stored[name] for name in stored.files}
        return Block(columns, feature.transform(prepared.competition, prepared.panel, parameters))
    return Block(columns, np.load(folder / "values.npy", mmap_mode="r"))
