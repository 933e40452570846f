"""Made-up submissions, kept as the pipeline keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.submitting.folder import FORMAT, Kept, csv_checksum, keep, submission_id
from pipeline.submitting.log import MADE, add_event

SCORES = {"metric": "mae", "greater_is_better": False, "cv": 0.25, "cv_std": 0.01, "local": 0.3125}


def kept_submission(files: Path, name: str, rows: Mapping[str, float], **changes: Any) -> Kept:
    """A submission with the columns id and y, in its folder and in the log. changes: of the manifest."""
    files.mkdir(parents=True, exist_ok=True)
    csv = files / f"{name}.csv"
    csv.write_text("id,y\n" + "".join(f"{identity},{value!r}\n" for identity, value in rows.items()))
    checksum = csv_checksum(csv)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "id": submission_id({"submit/demo": str(changes)}, checksum),
        "made": "2026-01-02T03:04:05+00:00",
        "competition": "toy",
        "size": "demo",
        "command": ["python", "-m", "pipeline.run"],
        "csv": {"sha256": checksum, "rows": len(rows), "columns": ["id", "y"], "id_columns": ["id"]},
        "scores": SCORES,
        "members": {"lstm": {"kind": "lstm", "seeds": [0], "weight": 0.5}, "tcn": {"kind": "tcn"}},
        "blender": "convex",
        "baseline": None,
        "code": {"version": "1", "commit": "0123456789abcdef", "changed": False},
        **changes,
    }
    kept = keep(files, csv, manifest, "python -m pipeline.run")
    add_event(files, MADE, {"name": name, "id": kept.identity, "competition": "toy", **manifest["scores"]})
    return kept
