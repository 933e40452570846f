"""What stage=predict leaves for the user: a submission like all others, which says whose models made it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.libraries import library_versions
from pipeline.report.fits import manifests_below
from pipeline.stages.predict import SUBMISSION, predicted_name, rows_path
from pipeline.store import ArtifactStore
from pipeline.submitting.code_version import code_version
from pipeline.submitting.folder import csv_checksum, files_folder, publish, submission_id
from pipeline.submitting.record import keep_with_log
from pipeline.submitting.source import Source


def keep_predicted(config: Config, store: ArtifactStore, command: list[str]) -> Iterator[str]:
    """Publish the CSV and keep it with its manifest; lines that say so."""
    source = Source.of(config, store)
    name = predicted_name(config)
    path = f"predict/{name}/{SUBMISSION}"
    folder = store.folder(path)
    csv = folder / "submission.csv"
    said = json.loads((folder / "submission.json").read_text(encoding="utf-8"))
    meta = json.loads((store.folder(rows_path(config)) / "meta.json").read_text(encoding="utf-8"))
    found = manifests_below([path], store.root)
    checksum = csv_checksum(csv)
    own = source.kept.manifest
    manifest: dict[str, Any] = {
        **own,
        "name": name,
        "id": submission_id({path: found[path].key}, checksum),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "csv": {key: said[key] for key in ("rows", "columns", "id_columns")} | {"sha256": checksum},
        "predicted_by": source.name,
        "blender": said["blender"],
        "left_out": said["left_out"],
        "data": found[rows_path(config)].settings["files"],
        "libraries": library_versions(*source.extras()),
        "code": code_version(),
        "artifacts": {one: entry.key for one, entry in found.items()},
    }
    files = files_folder(store.root)
    target = publish(csv, files / f"{name}.csv")
    kept = keep_with_log(files, csv, manifest)
    for note in meta["notes"]:
        yield f"note: {note}"
    for member, why in said["left_out"].items():
        yield f"left out: {member}: {why}"
    yield f"{said['rows']:,} rows of {meta['series']:,} series by {source.name}: {_shown(target)}"
    yield f"kept with its manifest: {_shown(kept.folder)}"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
