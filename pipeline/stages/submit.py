"""submit: the blended test rows as a checked CSV, in the artefact and at submissions/files/<name>.csv."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from data.errors import InputError
from data.predictions import load_predictions
from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.member_predictions import complete_parts
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.baseline import Baseline
from pipeline.stages.blend import Blend, blend_path, blended_fits
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.store import ArtifactStore
from pipeline.submitting.folder import files_folder, publish
from pipeline.write_submission import asked_test_rows, layout_words, make_submission, mean_table
from submissions.post import Learnt


@STAGES.register("submit")
class Submit(Stage):
    """One artefact submit/<size>: submission.csv and submission.json.

    Where a budget left no member complete the first finished baseline is submitted, and submission.json
    says so.
    """

    name: ClassVar[str] = "submit"
    version: ClassVar[int] = 2

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        name = submission_name(config)
        settings: dict[str, Any] = {
            "name": name,
            "size": config.size,
            "post": config.submit.post,
            "steps": [asdict(step) for step in config.competition.post],
            "submission": asdict(config.competition.submission),
        }
        if Blend().jobs(config, store):
            settings["blend"] = blend_path(config)
            inputs = [PREPARE, blend_path(config)]
        else:
            settings["baseline"], paths = _first_baseline(config, store)
            settings["paths"] = paths
            prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
            _, _, settings["left_out"] = blended_fits(config, store, prepared)
            inputs = [PREPARE, *paths]
        details = {"plugins": list(config.plugins)}
        path = f"submit/{config.size}"
        return [Job(self.name, path, settings, tuple(inputs), self.version, f"submission {name}", details)]

    def run(self, job: Job, context: JobContext) -> None:
        settings = job.settings
        later = {"submission": settings["submission"], "post": settings["steps"]}
        prepared = Prepared(context.inputs[PREPARE], later)
        file = context.folder / "submission.csv"
        scores: dict[str, Any] = {}
        learnt: Learnt = ()
        if "blend" in settings:
            blend = context.inputs[settings["blend"]]
            test = load_predictions(blend / "test.parquet")
            scores = json.loads((blend / "scores.json").read_text())
            steps = json.loads((blend / "post.json").read_text())["steps"]
            learnt = [step["learnt"] for step in steps]
        else:
            folders = [context.inputs[path] for path in settings["paths"]]
            test = mean_table(folders, asked_test_rows(prepared))
        layout = make_submission(prepared, test, file, settings["post"], learnt)
        target = files_folder(context.root) / f"{settings['name']}.csv"
        # Scores of what was written: with post-processing where it was applied.
        written = scores.get("post" if settings["post"] else "blend", {})
        content = {
            "file": f"submissions/files/{target.name}",
            **layout_words(layout),
            "blender": scores.get("chosen"),
            "baseline": settings.get("baseline"),
            "members": sorted(scores.get("members", {})),
            "weights": scores.get("weights"),
            "left_out": scores.get("left_out", settings.get("left_out", {})),
            "metric": scores.get("metric"),
            "greater_is_better": scores.get("greater_is_better"),
            "cv": written.get("cv"),
            "cv_std": written.get("cv_std"),
            "local": written.get("local", {}),
            "post": [step.kind for step in prepared.competition.post] if settings["post"] else [],
            "member_scores": {
                name: {"cv": one["cv"], "cv_std": one["cv_std"], "local": one["local"]}
                for name, one in scores.get("members", {}).items()
            },
            "inputs": _keys(context.inputs),
        }
        (context.folder / "submission.json").write_text(json.dumps(content, indent=1))
        publish(file, target)


def submission_name(config: Config) -> str:
    """Name of the CSV without its suffix."""
    name = config.submit.name or f"{config.competition.name}-{config.size}"
    name = name.removesuffix(".csv")
    if not name or name != Path(name).name or name.startswith("."):
        raise InputError(f"submit.name: found {config.submit.name!r}, expected a plain file name")
    return name


def published(config: Config, store: ArtifactStore) -> Path:
    """The CSV under submissions/files; copied there again where it was removed or changed."""
    folder = store.folder(f"submit/{config.size}")
    return publish(folder / "submission.csv", files_folder(store.root) / f"{submission_name(config)}.csv")


def _first_baseline(config: Config, store: ArtifactStore) -> tuple[str, list[str]]:
    parts = complete_parts(Baseline().jobs(config, store), store)
    for name in config.competition.baselines:
        if parts.get(name, {}).get("test"):
            return name, parts[name]["test"]
    raise InputError(
        f"nothing to submit: no member of {', '.join(config.members)} has all its folds, and there is no"
        f" baseline; run stage=train first, or with a larger budget"
    )


def _keys(inputs: Mapping[str, Path]) -> dict[str, str]:
    """Key of each input artefact, from its manifest."""
    keys = {}
    for path, folder in inputs.items():
        manifest = folder / "manifest.json"
        keys[path] = json.loads(manifest.read_text())["key"] if manifest.exists() else ""
    return keys
