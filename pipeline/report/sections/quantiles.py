"""Members' quantiles: their scores, and how much of the truth lies below each."""

from __future__ import annotations

from typing import Any

from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.text import decimals_for, escape, metric_name, number


def section(material: Material) -> Section | None:
    """None where the competition asks for no quantiles."""
    members = material.scores.get("members", {})
    found = {name: entry["quantiles"] for name, entry in members.items() if entry.get("quantiles")}
    asked = any("quantiles" in entry for entry in members.values())
    if not asked:
        return None
    points = [name for name in material.ranking if name not in found]
    blend = material.scores.get("quantiles")
    if blend is not None:
        found["blend"] = blend["blend"]
        if material.submission.get("post"):
            found["blend, post-processed"] = blend["post"]
    body = _table(material, found) if found else ""
    if points:
        body += (
            f'<p class="warn"><b>{escape(", ".join(points))}</b>'
            f" predict{'s' if len(points) == 1 else ''} points only: no score of quantiles.</p>"
        )
    lead = (
        "Quantiles of members and of their blend; the submission is of points. Below a quantile of level q"
        " should lie a share q of the truth: the last columns say which share of the judged out-of-fold rows"
        " does."
    )
    return Section("quantiles", "Quantiles", lead, body)


def _table(material: Material, found: dict[str, dict[str, Any]]) -> str:
    first = next(iter(found.values()))
    columns = [Column("Member", number=False)]
    decimals = {}
    for metric in first["metrics"]:
        scores = [entry["metrics"][metric] for entry in found.values()]
        decimals[metric] = decimals_for([score[key] for score in scores for key in ("cv", "local")])
        title = metric_name(metric)
        columns += [
            Column(f"{title}, CV", hint="mean over folds"),
            Column("±", hint="standard deviation over folds"),
            Column(
                f"{title}, local", hint="on the local hold-out, or the test rows where their truth is known"
            ),
        ]
    columns += [Column(f"below {level}", hint="share of the truth") for level in first["coverage"]]
    rows = []
    members = [name for name in material.ranking if name in found]
    for name in [*members, *(name for name in found if name not in members)]:
        entry = found[name]
        who = Who("member", name) if name in members else Who("blend", name)
        cells = [swatch(material.colour(who)) + named(name)]
        for metric, places in decimals.items():
            score = entry["metrics"][metric]
            cells += [number(score[key], places) for key in ("cv", "cv_std", "local")]
        cells += [number(share, 3) for share in entry["coverage"].values()]
        rows.append(cells)
    return table(columns, rows)
