"""summary.json: the run in numbers, for programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.report.fits import Fit
from pipeline.report.local_gap import gap_json, gap_of, units_of
from pipeline.report.material import Material
from pipeline.report.memory import memory_json


def summary_of(material: Material, own_seconds: float) -> dict[str, Any]:
    """JSON-ready; numbers that are not defined are null. own_seconds: what the report took until now."""
    scores, prepared = material.scores, material.prepared
    submission = material.submission
    gap = gap_of(material)
    written = scores.get("post" if submission.get("post") else "blend", {})
    content = {
        "competition": prepared.competition.name,
        "title": prepared.competition.title,
        "size": material.size,
        "metric": material.metric,
        "greater_is_better": material.scorer.metric.greater_is_better,
        "members": {
            name: {
                "cv_mean": entry["cv"],
                "cv_std": entry["cv_std"],
                "folds": entry["folds"],
                "local": entry.get("local"),
                **({"quantiles": entry["quantiles"]} if "quantiles" in entry else {}),
                "seconds": round(sum(fit.seconds for fit in material.members[name]), 3),
                "parameters": _parameters(material.members[name]),
                "peak_memory_mib": max(fit.peak_memory_mib for fit in material.members[name]),
                "seeds": entry["seeds"],
            }
            for name, entry in sorted(scores.get("members", {}).items())
        },
        "blend": None
        if not scores
        else {
            "name": scores.get("chosen"),
            "cv_mean": written.get("cv"),
            "cv_std": written.get("cv_std"),
            "folds": written.get("folds", {}),
            "weights": scores.get("weights"),
            "post": submission.get("post", []),
            "cv_mean_before_post": scores.get("blend", {}).get("cv"),
            "local_before_post": scores.get("local", {}),
        },
        "blenders": {
            name: {"cv_mean": entry["cv"], "cv_std": entry["cv_std"], "in_sample": entry["in_sample"]}
            for name, entry in scores.get("blenders", {}).items()
        },
        "nested_against_local": gap_json(
            gap, units_of(material, gap) if gap is not None and gap.suspicious else []
        ),
        "memory": memory_json(material),
        "baselines": material.baseline_scores,
        "local_score": material.local_score,
        "submission": {
            "path": submission["file"],
            "rows": int(submission["rows"]),
            "baseline": submission.get("baseline"),
        },
        "left_out": submission.get("left_out", {}),
        "stage_seconds": stage_seconds(material) | {"report": round(own_seconds, 3)},
        "work_seconds": work_seconds(material),
        "peak_memory_mib": round(material.peak_memory_mib, 1),
        "command": material.command,
        "seeds": material.seeds,
        "versions": versions(material),
        "data": {
            name: prepared.meta[name]
            for name in ("rows", "series", "asked", "train_rows", "horizon", "notes")
        },
    }
    return plain_numbers(content)


def stage_seconds(material: Material) -> dict[str, float]:
    """By stage: wall seconds of this command where the runner tells them, else the seconds of all jobs."""
    return work_seconds(material) | {
        name: round(float(seconds), 3) for name, seconds in material.stage_wall_seconds.items()
    }


def work_seconds(material: Material) -> dict[str, float]:
    """By stage: the seconds of all its jobs, whenever they ran, added up."""
    total: dict[str, float] = {}
    for path, manifest in material.manifests.items():
        stage = "baseline" if path.startswith("baseline/") else manifest.stage
        total[stage] = total.get(stage, 0.0) + manifest.seconds
    order = ["prepare", "features", "baseline", "train", "blend", "submit"]
    known = [name for name in order if name in total]
    return {name: round(total[name], 3) for name in [*known, *sorted(set(total) - set(order))]}


def versions(material: Material) -> dict[str, str]:
    """Libraries that the artefacts were made with; several versions of one are joined."""
    found: dict[str, set[str]] = {}
    for manifest in material.manifests.values():
        for name, version in manifest.libraries.items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(numbers)) for name, numbers in sorted(found.items())}


def plain_numbers(content: Any) -> Any:
    """The same as JSON can say it: Python's numbers, null for those that are not finite."""
    if isinstance(content, dict):
        return {key: plain_numbers(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain_numbers(value) for value in content]
    if isinstance(content, float | np.floating):
        return float(content) if np.isfinite(content) else None
    return int(content) if isinstance(content, np.integer) else content


def _parameters(fits: list[Fit]) -> int | None:
    known = [fit.parameters for fit in fits if fit.parameters is not None]
    return max(known) if known else None
