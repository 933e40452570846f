"""One fit of a member or baseline as its artefact tells it: costs, log and what it looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from models.interpretation import Interpretation
from pipeline.manifest import Manifest, read_manifest
from pipeline.member_memory import read_memory


@dataclass(frozen=True)
class Fit:
    """What lies in train/<size>/<member>/seed<n>/<part> besides predictions."""

    path: str
    name: str  # of the member or baseline
    seed: int
    part: str  # fold0, ..., local, all
    kind: str
    seconds: float  # of the whole job, all attempts
    fit_seconds: float
    predict_seconds: float
    parameters: int | None
    peak_memory_mib: float
    settings: dict[str, object]  # of the job
    log: pd.DataFrame | None  # epoch, train_loss, inner_loss, learning_rate, seconds
    interpretation: Interpretation | None
    memory: dict[str, Any] | None  # how far back it uses the data; of one fit of a member


def read_fit(path: str, folder: Path) -> Fit:
    """The fit whose artefact `path` lies in `folder`."""
    _, *_, name, seed, part = path.split("/")
    costs = json.loads((folder / "fit.json").read_text())
    manifest = read_manifest(folder)
    settings = dict(manifest.settings) if manifest else {}
    worked = costs["fit_seconds"] + costs["predict_seconds"]
    return Fit(
        path=path,
        name=name,
        seed=int(seed.removeprefix("seed")),
        part=part,
        kind=str(settings.get("kind", name)),
        seconds=max(manifest.seconds if manifest else 0.0, worked),
        fit_seconds=costs["fit_seconds"],
        predict_seconds=costs["predict_seconds"],
        parameters=costs.get("parameters"),
        peak_memory_mib=max(costs.get("peak_memory_mib", 0.0), manifest.peak_memory_mib if manifest else 0.0),
        settings=settings,
        log=_csv(folder / "log.csv"),
        interpretation=Interpretation.load(folder),
        memory=read_memory(folder),
    )


def manifests_below(paths: list[str], root: Path) -> dict[str, Manifest]:
    """Manifests of the artefacts `paths` of the store at `root` and of all they were made from, by path."""
    found: dict[str, Manifest] = {}
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        manifest = None if path in found else read_manifest(root / path)
        if manifest is not None:
            found[path] = manifest
            waiting += manifest.inputs
    return dict(sorted(found.items()))


def _csv(file: Path) -> pd.DataFrame | None:
    if not file.exists():
        return None
    table = pd.read_csv(file)
    return table if len(table) else None
