"""Which fits of members and baselines are complete, and their predictions averaged over fits.

A member counts with those seeds of which every fit is there: all folds, and the refits where there are some.
Which artefact predicts which part stands in its own settings (`predict`), so a refit on everything can never
lend its predictions to the local hold-out, whose rows it has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.predictions import POINT, load_predictions
from data.scoring import Asked, align
from pipeline.stage import Job
from pipeline.store import ArtifactStore

#: One seed of a member, JSON-ready: {"seed": 0, "oof": {"fold0": path}, "local": [paths], "test": [paths]}.
SeedFits = dict[str, Any]


def complete_fits(
    jobs: Iterable[Job], store: ArtifactStore, folds: Sequence[str]
) -> tuple[dict[str, list[SeedFits]], dict[str, str]]:
    """Member: its complete seeds; and what is left out, with the reason in words.

    jobs: all fits that the configuration asks for, paths train/<size>/<member>/seed<n>/<part>. folds: names
    of the folds that a member must have.
    """
    found: dict[str, list[SeedFits]] = {}
    left_out: dict[str, str] = {}
    for (name, seed), fits in sorted(_by_member_and_seed(jobs).items()):
        oof = {job.settings["fold"]: job for job in fits if "oof" in job.settings["predict"]}
        lacking = [fold for fold in folds if fold not in oof]
        if lacking:
            left_out[name] = f"it is not fitted on {', '.join(lacking)}"
            continue
        needed = [
            job for job in fits if "oof" not in job.settings["predict"] or job.settings["fold"] in folds
        ]
        undone = [job.path.rsplit("/", 1)[1] for job in needed if store.state(job) != "done"]
        if undone:
            left_out[f"{name} seed {seed}"] = f"{', '.join(undone)} did not finish"
            continue
        entry: SeedFits = {"seed": seed, "oof": {fold: oof[fold].path for fold in folds}}
        for part in ("local", "test"):
            entry[part] = [job.path for job in needed if part in job.settings["predict"]]
        assert not any(
            job.settings["fold"] == "test" and "local" in job.settings["predict"] for job in needed
        )
        found.setdefault(name, []).append(entry)
    return found, left_out


def complete_parts(jobs: Iterable[Job], store: ArtifactStore) -> dict[str, dict[str, list[str]]]:
    """Baseline: part: paths of the finished artefacts that predict it."""
    found: dict[str, dict[str, list[str]]] = {}
    for job in jobs:
        if store.state(job) == "done":
            for part in job.settings["predict"]:
                found.setdefault(job.path.split("/")[1], {}).setdefault(part, []).append(job.path)
    return found


def paths_of(fits: Mapping[str, list[SeedFits]], parts: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    """All artefacts of both, each once, in a fixed order."""
    paths: dict[str, None] = {}
    for seeds in fits.values():
        for entry in seeds:
            paths |= dict.fromkeys([*entry["oof"].values(), *entry["local"], *entry["test"]])
    for one in parts.values():
        for listed in one.values():
            paths |= dict.fromkeys(listed)
    return list(paths)


def out_of_fold(
    seeds: Sequence[SeedFits],
    asked: Asked,
    folds: Mapping[str, int],
    folders: Mapping[str, Path],
    who: str,
    quantile: float = POINT,
    how: str = "mean",
) -> np.ndarray:
    """(N, K) over seeds. folds: name: index, as `asked.fold` has it; how: see `averaged`."""
    value = np.zeros_like(asked.truth)
    for name, index in folds.items():
        rows = asked.fold == index
        part = asked.take(rows)
        paths = [entry["oof"][name] for entry in seeds]
        value[rows] = averaged(paths, "oof", part, folders, who, quantile, how)
    return value


def averaged(
    paths: Sequence[str],
    part: str,
    asked: Asked,
    folders: Mapping[str, Path],
    who: str,
    quantile: float = POINT,
    how: str = "mean",
) -> np.ndarray:
    """(N, K) over the fits at `paths`, row by row: of the points, or of one quantile.

    how: mean, or median, which one fit that went astray does not move (blend.fits). Raises
    IncompletePredictions.
    """

    def one(path: str) -> np.ndarray:
        table = load_predictions(folders[path] / f"{part}.parquet")
        return align(table, asked, f"{who}: {path}/{part}.parquet", quantile)

    if how == "median":
        middle: np.ndarray = np.median([one(path) for path in paths], axis=0)
        return middle
    assert how == "mean", how
    total = np.zeros_like(asked.truth)
    for path in paths:
        total += one(path)
    return total / len(paths)


def _by_member_and_seed(jobs: Iterable[Job]) -> dict[tuple[str, int], list[Job]]:
    groups: dict[tuple[str, int], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.path.split("/")[2], job.settings["seed"]), []).append(job)
    return groups
