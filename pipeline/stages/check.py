"""check: what competitors look at by hand before they train; findings are printed and end nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from data.errors import InputError
from features.build import build_features
from pipeline.checking.run import run_checks
from pipeline.config import Config
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.features import feature_path, read_block
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.store import ArtifactStore

CHECK = "check"
FILE = "check.json"


@STAGES.register("check")
class Check(Stage):
    """One artefact check/<size>: check.json. The truth of test rows is no input of it."""

    name: ClassVar[str] = CHECK
    version: ClassVar[int] = 2

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        prepared = Prepared(store.folder(PREPARE))
        families = build_features(prepared.competition, prepared.panel, config.competition.features)
        # A fitted family encodes the rows that it was fitted on otherwise than rows that are asked.
        names = [name for name, family in families if not family.fitted]
        settings = {
            "features": {name: config.competition.features[name] for name in names},
            "rows": config.check.rows,
            "seed": config.seed,
        }
        inputs = (PREPARE, *(feature_path(name, None) for name in names))
        details = {"plugins": list(config.plugins)}
        path = check_path(config)
        return [Job(self.name, path, settings, inputs, self.version, "checks before training", details)]

    def run(self, job: Job, context: JobContext) -> None:
        prepared = Prepared(context.inputs[PREPARE])
        families = build_features(prepared.competition, prepared.panel, job.settings["features"])
        blocks = [
            read_block(family, context.inputs[feature_path(name, None)], prepared)
            for name, family in families
        ]
        found = run_checks(
            prepared.competition,
            prepared.panel,
            prepared.split,
            blocks,
            prepared.context(None),
            prepared.horizon,
            job.settings["rows"],
            job.settings["seed"],
            context.progress,
        )
        (context.folder / FILE).write_text(json.dumps(found, indent=1, allow_nan=False))


def check_path(config: Config) -> str:
    """Of the artefact."""
    return f"{CHECK}/{config.size}"


def read_check(folder: Path) -> dict[str, Any]:
    """What a check found."""
    content: dict[str, Any] = json.loads((folder / FILE).read_text())
    return content


def check_lines(config: Config, store: ArtifactStore) -> list[str]:
    """What the command prints of the findings; InputError after a warning where check.fatal is set."""
    findings = read_check(store.folder(check_path(config)))["findings"]
    warnings = [finding["line"] for finding in findings if finding["level"] == "warning"]
    if warnings and config.check.fatal:
        raise InputError(
            f"check.fatal: {warnings[0]}" + f" (and {len(warnings) - 1} more)" * (len(warnings) > 1)
        )
    return [f"{finding['level']}: {finding['line']}" for finding in findings] or ["nothing suspicious"]
