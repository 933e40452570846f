"""A submission as a source of forecasts: which of its artefacts are needed to forecast other rows.

Those of the last fits of every member (all that predict the test rows), what fitted features learnt for them,
the blender and the steps of post-processing with what they learnt, and prepare, for how columns are coded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from pipeline.config import Config
from pipeline.manifest import Manifest
from pipeline.stages.prepare import PREPARE
from pipeline.store import ArtifactStore
from pipeline.submitting.find import find_kept
from pipeline.submitting.folder import Kept, files_folder
from pipeline.submitting.rebuild import typed_config


@dataclass(frozen=True)
class Source:
    """A kept submission whose artefacts are there, as they were."""

    kept: Kept
    config: Config  # that it was made with
    blend: str | None  # path of the blend; None of a baseline
    # member that the blend reads: paths of the fits that predict test rows, in order
    fits: Mapping[str, tuple[str, ...]]
    manifests: Mapping[str, Manifest]  # of every artefact that is needed, by path

    @classmethod
    def of(cls, config: Config, store: ArtifactStore) -> Source:
        """What submit.of names. InputError where it is not there, or its artefacts are not as they were."""
        word = config.submit.of or f"{config.competition.name}-{config.size}"
        kept = find_kept(files_folder(store.root), word, "submit.of")
        if kept.manifest["competition"] != config.competition.name:
            raise InputError(
                f"submit.of: {kept.name} is of competition={kept.manifest['competition']}, and this command"
                f" of competition={config.competition.name}"
            )
        if "predicted_by" in kept.manifest:
            raise InputError(
                f"submit.of: {kept.name} was itself forecast by the models of"
                f" {kept.manifest['predicted_by']}; name that one"
            )
        own = typed_config(kept)
        blend = f"blend/{own.size}" if kept.manifest["baseline"] is None else None
        found: dict[str, Manifest] = {}
        _take(PREPARE, kept, store, found)
        if blend is not None:
            members = _take(blend, kept, store, found).settings["members"]
            fits = {
                name: tuple(path for entry in members[name] for path in entry["test"])
                for name in needed_members(store.root / blend)
            }
        else:
            name = kept.manifest["baseline"]
            fits = {name: _of_baseline(name, kept, store)}
        for paths in fits.values():
            for path in paths:
                for one in fitted_features(_take(path, kept, store, found)):
                    _take(one, kept, store, found)
        return cls(kept, own, blend, fits, found)

    @property
    def name(self) -> str:
        """For people and manifests."""
        return f"{self.kept.name}/{self.kept.identity}"

    def fitted_features(self, path: str) -> list[str]:
        """Artefacts with what features learnt for a fit."""
        return fitted_features(self.manifests[path])

    def settings(self, path: str) -> dict[str, Any]:
        """Of the job that made an artefact."""
        return self.manifests[path].settings

    def extras(self) -> list[str]:
        """Of this project, that the fits need."""
        from models.members.catalogue import (
            extras_of,
        )  # imports torch, which refusing a submission does not need

        kinds = {self.settings(path)["kind"] for paths in self.fits.values() for path in paths}
        return sorted({extra for kind in kinds for extra in extras_of(kind)})

    def feature_settings(self) -> dict[str, Any]:
        """Of every family that a fit reads."""
        return {
            name: own
            for paths in self.fits.values()
            for path in paths
            for name, own in self.settings(path)["features"].items()
        }


def needed_members(blend: Path) -> list[str]:
    """Those that the blend in a folder reads, by name: without those whose weight is 0."""
    scores = json.loads((blend / "scores.json").read_text(encoding="utf-8"))
    weights = scores["weights"] or {}
    return [name for name in sorted(scores["members"]) if weights.get(name) != 0.0]


#: Files of fits and blends that scores and reports read, and forecasts of other rows do not.
PREDICTIONS = ("oof.parquet", "local.parquet", "test.parquet")


def fitted_features(fit: Manifest) -> list[str]:
    """Those of a fit's inputs that lie by fold: features/<family>.<fold>."""
    ending = f".{fit.settings['fold']}"
    return [path for path in fit.inputs if path.startswith("features/") and path.endswith(ending)]


def _take(path: str, kept: Kept, store: ArtifactStore, found: dict[str, Manifest]) -> Manifest:
    """The manifest of an artefact that must be there as it was when the submission was made."""
    manifest = store.manifest(path)
    if manifest is None or manifest.key != kept.manifest["artifacts"].get(path):
        how = store.damage(path) or (
            "is not there" if manifest is None else "was made anew with other settings"
        )
        raise InputError(
            f"{store.root / path} {how}; {kept.name}/{kept.identity} needs it as it was: the command in"
            f" {kept.folder / 'command.txt'} makes it again"
        )
    found[path] = manifest
    return manifest


def _of_baseline(name: str, kept: Kept, store: ArtifactStore) -> tuple[str, ...]:
    paths = [path for path in kept.manifest["artifacts"] if Path(path).parts[:2] == ("baseline", name)]
    found: dict[str, Manifest] = {}
    return tuple(path for path in paths if "test" in _take(path, kept, store, found).settings["predict"])
