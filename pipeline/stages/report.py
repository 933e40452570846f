"""report: one self-contained HTML page and summary.json; the latest stands at report/index.html."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from pipeline.config import Config
from pipeline.member_predictions import complete_parts, paths_of
from pipeline.probing.summaries import suite_of_members, t50_of_members
from pipeline.report.page import page
from pipeline.report.read_material import read_material
from pipeline.report.studies import studies_there
from pipeline.report.summary import summary_of
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.baseline import Baseline
from pipeline.stages.blend import Blend
from pipeline.stages.check import check_path
from pipeline.stages.prepare import PREPARE, SOLUTION
from pipeline.stages.submit import Submit
from pipeline.store import ArtifactStore

REPORT = "report"
COPIES = {"report.html": "index.html", "summary.json": "summary.json"}


@STAGES.register("report")
class Report(Stage):
    """One artefact report/<size>: report.html and summary.json.

    `job.details` may have `command` (its words), `stage_seconds` (wall seconds so far, by stage) and
    `peak_memory_mib`; they are printed and change no key.
    """

    name: ClassVar[str] = REPORT
    version: ClassVar[int] = 4

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        [submit] = Submit().jobs(config, store)
        blends = Blend().jobs(config, store)
        baselines = complete_parts(Baseline().jobs(config, store), store)
        inputs = dict.fromkeys([PREPARE, submit.path, *submit.inputs, *paths_of({}, baselines)])
        settings: dict[str, Any] = {
            "competition": config.competition.name,
            "title": config.competition.title,
            "metric": [asdict(metric) for metric in config.competition.metric],
            "post": [asdict(step) for step in config.competition.post],
            "size": config.size,
            "submit": submit.path,
            "baselines": baselines,
            "members": {},
            "t50": {},
            # Files that no stage vouches for, as studies grow: what they hold is part of the key.
            "studies": studies_there(store.root),
            "blend": None,
        }
        for blend in blends:
            inputs |= dict.fromkeys([blend.path, *blend.inputs])
            fits = blend.settings["members"]
            settings["blend"] = {"path": blend.path, "members": fits} | {
                key: blend.settings[key] for key in ("folds", "fits")
            }
            settings["members"] = {name: paths_of({name: seeds}, {}) for name, seeds in fits.items()}
            kinds = {name: str(config.member[name]["kind"]) for name in fits}
            settings["t50"] = t50_of_members(
                store.root.parent, kinds, suite_of_members(config.competition.name)
            )
        if store.manifest(check_path(config)) is not None:
            inputs[check_path(config)] = None
            settings["check"] = check_path(config)
        if config.competition.local.kind == "solution" and store.manifest(SOLUTION) is not None:
            inputs[SOLUTION] = None
        details = {"plugins": list(config.plugins)}
        path = f"{REPORT}/{config.size}"
        return [Job(self.name, path, settings, tuple(inputs), self.version, "report", details)]

    def run(self, job: Job, context: JobContext) -> None:
        started = time.monotonic()
        context.progress(0.05, "read scores and predictions")
        material = read_material(job, context)
        context.progress(0.4, "figures")
        (context.folder / "report.html").write_text(page(material), encoding="utf-8")
        summary = summary_of(material, time.monotonic() - started)
        text = json.dumps(summary, indent=1, allow_nan=False)
        (context.folder / "summary.json").write_text(text, encoding="utf-8")
        publish_report(context.folder, context.root)


def published(config: Config, store: ArtifactStore) -> Path:
    """The page of this size as the latest one; copied there again where another size's is."""
    return publish_report(store.folder(f"{REPORT}/{config.size}"), store.root)


def publish_report(folder: Path, root: Path) -> Path:
    """Copy the report in `folder` to <root>/report, as the latest one; root: artifacts/<competition>.

    Each file is copied aside and renamed. Returns the path of the page.
    """
    target = root / REPORT
    target.mkdir(parents=True, exist_ok=True)
    for source, name in COPIES.items():
        aside = target / f".{name}.{os.getpid()}.partial"
        try:
            shutil.copyfile(folder / source, aside)
            os.replace(aside, target / name)
        finally:
            aside.unlink(missing_ok=True)
    return target / COPIES["report.html"]
