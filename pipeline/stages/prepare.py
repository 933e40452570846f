"""prepare: raw files -> panel, folds, and the sample's layout. Folds are fixed here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from data.build_panel import panel_of, read_competition, read_solution
from data.needed_columns import post_expressions
from data.panel import Panel
from data.raw_tables import competition_folder, raw_files
from data.scoring import Asked, asked_of
from data.split import horizon_of, load_split, make_split, save_split
from data.splitters.exchange import export_folds
from pipeline.competition_file import (
    competition_from,
    lasting_settings,
    later_settings,
    load_competition,
    save_competition,
    with_later,
)
from pipeline.config import Config
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.store import ArtifactStore

PREPARE, SOLUTION = "prepare", "solution"


@STAGES.register("prepare")
class Prepare(Stage):
    """One artefact `prepare`; the truth of the test rows, where it is known, apart in `solution`."""

    name: ClassVar[str] = "prepare"
    version: ClassVar[int] = 3

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        folder = competition_folder(config.competition, Path(config.root))
        files = {name: file_hash(path) for name, path in raw_files(config.competition, folder).items()}
        settings = {
            "competition": lasting_settings(config.competition),
            "masks": sorted(post_expressions(config.competition)),
            "files": files,
            "folds_file": hash_if_there(config.competition.folds.file),
            "part": PREPARE,
        }
        # The reader gets the whole competition and the folder; where the folder lies changes no result.
        details = {
            "folder": str(folder),
            "later": later_settings(config.competition),
            "plugins": list(config.plugins),
        }
        jobs = [Job(self.name, PREPARE, settings, version=self.version, title="read files", details=details)]
        if config.competition.files.solution or config.competition.local.kind == "solution":
            settings = {**settings, "part": SOLUTION}
            jobs.append(
                Job(self.name, SOLUTION, settings, (PREPARE,), self.version, "read the truth", details)
            )
        return jobs

    def run(self, job: Job, context: JobContext) -> None:
        competition = competition_from(with_later(job.settings["competition"], job.details["later"]))
        tables = read_competition(competition, Path(job.details["folder"]))
        if job.settings["part"] == SOLUTION:
            panel = Panel.load(context.inputs[PREPARE] / "panel")
            if tables.solution is not None:
                read_solution(tables, panel).to_parquet(context.folder / "solution.parquet", index=False)
            return
        context.progress(0.4, "rows and columns")
        panel = panel_of(tables)
        context.progress(0.8, "folds")
        split = make_split(tables.competition, panel)
        panel.save(context.folder / "panel")
        save_split(split, context.folder)
        export_folds(split.folds, panel, context.folder / "folds.csv")
        save_competition(tables.competition, context.folder)
        if tables.sample is not None:
            tables.sample.to_parquet(context.folder / "sample.parquet", index=False)
        meta = {
            "horizon": horizon_of(tables.competition, panel),
            "rows": panel.rows,
            "series": panel.series,
            "asked": int(panel.test.sum()),
            "train_rows": int((panel.present & ~panel.test).sum()),
            "folds": [fold.label for fold in split.folds],
            "local": split.local.label if split.local else tables.competition.local.kind,
            "notes": list(panel.notes),
        }
        (context.folder / "meta.json").write_text(json.dumps(meta, indent=1))


def file_hash(path: Path) -> str:
    """Of the file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]


def hash_if_there(name: str | None) -> str | None:
    """Of a file's content; None where there is no such file."""
    return file_hash(Path(name)) if name and Path(name).is_file() else None


class Prepared:
    """What prepare left, read once."""

    def __init__(self, folder: Path, later: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.competition = load_competition(folder, later)
        self.panel = Panel.load(folder / "panel")
        self.split = load_split(folder)
        self.meta = json.loads((folder / "meta.json").read_text())

    @property
    def horizon(self) -> int:
        """Rows asked at once."""
        return int(self.meta["horizon"])

    def context(self, declared: int | None) -> int:
        """Rows before the origin that a window shows."""
        if self.competition.task == "sequence":
            return 0
        return declared or self.competition.context or 2 * self.horizon

    def sample(self) -> pd.DataFrame | None:
        """The sample submission, None where there is none."""
        file = self.folder / "sample.parquet"
        return pd.read_parquet(file) if file.exists() else None


def read_truth(folder: Path | None) -> pd.DataFrame | None:
    """The truth of test rows that the solution artefact holds, if any."""
    if folder is None or not (folder / "solution.parquet").exists():
        return None
    return pd.read_parquet(folder / "solution.parquet")


def local_rows(prepared: Prepared, solution: Path | None) -> tuple[str, Asked] | tuple[None, None]:
    """Part and rows of the local score: the hold-out, else the test rows if `solution` has their truth."""
    panel, split, truth = prepared.panel, prepared.split, read_truth(solution)
    if split.local is not None:
        return "local", asked_of(panel, [(split.local.index, split.local.asked)], prepared.horizon)
    if truth is not None:
        return "test", asked_of(panel, [(split.test.index, split.test.asked)], prepared.horizon, truth)
    return None, None
