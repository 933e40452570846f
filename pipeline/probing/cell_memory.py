"""How far back a network that was trained on a probe uses it: measured on one cell of each row and probe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from data.probes.base import Probe
from models.forecaster import Forecaster
from models.memory.capacity import MOST_DELAYS
from models.memory.decay import fit_decay
from models.memory.from_start import FromStart, from_start
from models.memory.summary import memory_of
from pipeline.member_memory import WORK
from pipeline.stage import Job
from pipeline.store import ArtifactStore

CELL = "cell.json"
VERSION = 3  # raised when what is measured changes
WINDOWS = 64
MOST_POINTS = 200  # of a curve


def chosen_cells(jobs: Iterable[Job], store: ArtifactStore) -> list[tuple[str, str, Job]]:
    """(probe, row, job) of the cells that are measured, out of finished `jobs`.

    Of each row and probe the longest length that is there, and of its seeds the one with the lowest error;
    none that diverged.
    """
    best: dict[tuple[str, str], tuple[tuple[int, float], Job]] = {}
    for job in jobs:
        *_, probe, _, row, _ = job.path.split("/")
        error = json.loads((store.folder(job.path) / CELL).read_text())["error"]
        rank = (job.settings["length"], -(math.inf if error is None else error))
        if (probe, row) not in best or rank > best[probe, row][0]:
            best[probe, row] = (rank, job)
    return [(probe, row, job) for (probe, row), (rank, job) in best.items() if rank[1] > -math.inf]


def memory_job(suite: str, probe: str, row: str, cell: Job) -> Job:
    """The measure of a finished cell."""
    content = {
        "probe": cell.settings["probe"],
        "length": cell.settings["length"],
        "seed": cell.settings["seed"],
        "fit": {name: cell.settings["fit"][name] for name in ("threads", "deterministic")},
    }
    path = f"memory/{suite}/{probe}/{row}"
    details = {"plugins": list(cell.details.get("plugins", ()))}
    return Job("probe_memory", path, content, (cell.path,), VERSION, f"{probe} {row}", details)


def memory_of_cell(probe: Probe, length: int, seed: int, folder: Path) -> dict[str, Any]:
    """JSON-ready: as `MemoryOfMember.to_json`, and `from_start` of recurrent layers.

    folder: with the trained forecaster. Measured on test windows of the same seed.
    """
    forecaster = Forecaster.load(folder)
    batch = probe.test_batch(length, WINDOWS, seed)
    delays = min(batch.rows - 1, MOST_DELAYS)
    memory = memory_of(forecaster, [batch], WINDOWS, seed=seed, work=WORK, capacity=delays)
    layers = [_from_start_to_json(layer) for layer in from_start(forecaster, [batch])]
    return memory.to_json() | {"from_start": layers}


def _from_start_to_json(layer: FromStart) -> dict[str, Any]:
    fit = fit_decay(layer.row[1:], layer.kept[1:])
    places = np.unique(np.linspace(0, len(layer.kept) - 1, MOST_POINTS).astype(np.int64))
    return {
        "layer": layer.layer,
        "row": layer.row[places].tolist(),
        "kept": layer.kept[places].tolist(),
        "exponential": layer.exponential[places].tolist(),
        "power_law": None if layer.power_law is None else layer.power_law[places].tolist(),
        "better": None if fit is None else fit.better.law,
        "weight": None if fit is None else fit.weight,
    }
