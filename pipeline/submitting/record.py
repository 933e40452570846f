"""The manifest of a submission: what it was made of and with, and the settings that make it again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.manifest import Manifest
from pipeline.report.fits import manifests_below
from pipeline.stages.prepare import PREPARE, hash_if_there
from pipeline.store import ArtifactStore
from pipeline.submitting.code_version import code_version
from pipeline.submitting.folder import (
    FORMAT,
    Kept,
    command_line,
    csv_checksum,
    files_folder,
    keep,
    publish,
    submission_id,
)
from pipeline.submitting.log import MADE, Event, add_event, of_submission

#: What of a configuration changes no bit of a submission.
ELSEWHERE = ("stage", "root", "executor", "budget", "tune", "probe")


def keep_submission(config: Config, store: ArtifactStore, path: str, name: str, command: list[str]) -> Kept:
    """Publish the CSV of the artefact `path` (of stage submit) as <name>.csv, and keep it with its manifest.

    Nothing is done where it is there already; a CSV that was removed or changed is copied again.
    """
    files = files_folder(store.root)
    with store.lock(path, shared=True):  # another run of this size puts its own at the same path
        folder = store.folder(path)
        csv = folder / "submission.csv"
        said = json.loads((folder / "submission.json").read_text(encoding="utf-8"))
        manifest = _manifest(config, store, [path], csv, name, said, command)
        publish(csv, files / f"{name}.csv")
        return keep_with_log(files, csv, manifest)


def keep_baseline(
    config: Config,
    store: ArtifactStore,
    paths: Sequence[str],
    csv: Path,
    layout: Mapping[str, Any],
    command: list[str],
) -> Kept:
    """Keep the CSV that was written from a baseline's artefacts `paths`, which lies at its name already.

    layout: rows, columns and id_columns of the CSV.
    """
    baseline = paths[0].split("/")[1]
    said = {**layout, "baseline": baseline, "metric": config.competition.metric[0].name}
    manifest = _manifest(config, store, paths, csv, csv.stem, said, command)
    return keep_with_log(files_folder(store.root), csv, manifest)


def keep_with_log(files: Path, csv: Path, manifest: dict[str, Any]) -> Kept:
    """Keep a CSV with its manifest, and note in the log that it was made, once."""
    kept = keep(files, csv, manifest, command_line(manifest["command"]))
    own = kept.manifest
    line = {
        "name": kept.name,
        "id": kept.identity,
        "competition": own["competition"],
        "size": own["size"],
        **own["scores"],
        "members": list(own["members"]),
        "blender": own["blender"],
        "baseline": own["baseline"],
        "rows": own["csv"]["rows"],
        "commit": own["code"]["commit"],
    }

    def is_there(events: list[Event]) -> bool:
        return any(event["event"] == MADE for event in of_submission(events, kept.name, kept.identity))

    add_event(files, MADE, line, unless=is_there)
    return kept


def _manifest(
    config: Config,
    store: ArtifactStore,
    paths: Sequence[str],
    csv: Path,
    name: str,
    said: Mapping[str, Any],
    command: list[str],
) -> dict[str, Any]:
    found = manifests_below(list(paths), store.root)
    _refuse_replaced(found, store)
    checksum = csv_checksum(csv)
    blend = next((one for one in found.values() if one.stage == "blend"), None)
    members = _members(config, blend, said)
    competition = config.competition
    content = {
        "format": FORMAT,
        "name": name,
        "id": submission_id({path: found[path].key for path in paths}, checksum),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "competition": competition.name,
        "size": config.size,
        "command": list(command),
        "csv": {
            "sha256": checksum,
            "rows": said["rows"],
            "columns": said["columns"],
            "id_columns": said["id_columns"],
        },
        "scores": _scores(said),
        "members": members,
        "blender": said.get("blender"),
        "baseline": said.get("baseline"),
        "left_out": said.get("left_out", {}),
        "post": _posts(config, store, blend, said),
        "seed": config.seed,
        "data": found[PREPARE].settings["files"],
        "files": _files(config, found),
        "libraries": _libraries(found),
        "code": code_version(),
        "artifacts": {path: manifest.key for path, manifest in found.items()},
        "config": settings_of(config, list(members)),
    }
    plain = _without_nan(content)
    assert isinstance(plain, dict)
    return plain


def _refuse_replaced(found: Mapping[str, Manifest], store: ArtifactStore) -> None:
    """InputError where what lies at a path is not what the artefacts above it were made from.

    Another run of this size puts its blend in place before its submission: the CSV would be kept with the
    members of that one.
    """
    for manifest in found.values():
        for path, key in manifest.inputs.items():
            if path in found and found[path].key != key:
                store.require(path, key)


def settings_of(config: Config, members: Sequence[str]) -> dict[str, Any]:
    """All that the submission depends on of the configuration, with `members` for those that run."""
    settings = {name: value for name, value in asdict(config).items() if name not in ELSEWHERE}
    needed = {*members, *config.competition.baselines}
    settings["members"] = list(members)
    settings["member"] = {name: config.member[name] for name in sorted(needed) if name in config.member}
    settings["submit"] = {"name": config.submit.name, "post": config.submit.post}
    return settings


def _members(config: Config, blend: Manifest | None, said: Mapping[str, Any]) -> dict[str, Any]:
    """Those that took part, in the configuration's order: kind, seeds, weight and scores of each."""
    if blend is None or said.get("baseline"):
        return {}
    weights = said.get("weights") or {}
    scores = said.get("member_scores", {})
    taking_part = blend.settings["members"]
    return {
        name: {
            "kind": config.member[name]["kind"],
            "seeds": [entry["seed"] for entry in taking_part[name]],
            "weight": weights.get(name),
            **scores.get(name, {}),
        }
        for name in config.members
        if name in taking_part
    }


def _scores(said: Mapping[str, Any]) -> dict[str, Any]:
    local = said.get("local") or {}
    return {
        "metric": said.get("metric"),
        "greater_is_better": said.get("greater_is_better"),
        "cv": said.get("cv"),
        "cv_std": said.get("cv_std"),
        "local": next(iter(local.values()), None),
        "local_all": dict(local),
    }


def _posts(
    config: Config, store: ArtifactStore, blend: Manifest | None, said: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The steps that were applied, with what they learnt."""
    if not said.get("post", config.competition.post):
        return []
    steps = [asdict(step) for step in config.competition.post]
    if blend is None or said.get("baseline"):
        return steps
    path = f"blend/{config.size}"
    learnt = json.loads((store.folder(path) / "post.json").read_text(encoding="utf-8"))["steps"]
    return [{**step, "learnt": one["learnt"]} for step, one in zip(steps, learnt, strict=True)]


def _files(config: Config, found: Mapping[str, Manifest]) -> dict[str, str | None]:
    """Files besides the competition's: those of members, metrics and plugins, with hashes."""
    files: dict[str, str | None] = {name: hash_if_there(name) for name in config.plugins}
    for manifest in found.values():
        for key in ("files", "metric_files"):
            if manifest.stage != "prepare":
                files |= manifest.settings.get(key) or {}
    return dict(sorted(files.items()))


def _libraries(found: Mapping[str, Manifest]) -> dict[str, str]:
    """Versions that the artefacts were made with; all of them where they were made with several."""
    versions: dict[str, list[str]] = {}
    for manifest in found.values():
        for name, version in manifest.libraries.items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    return {name: ", ".join(sorted(seen)) for name, seen in versions.items()}


def _without_nan(content: Any) -> Any:
    """The same with null for numbers that are not finite: JSON has no NaN."""
    if isinstance(content, Mapping):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
