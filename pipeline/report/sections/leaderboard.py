"""Members, blenders and baselines side by side, their spread over folds, and what of it is significant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report.gain import gain, gain_cell
from pipeline.report.markup import Column, Section, named, swatch, table
from pipeline.report.material import Material, Who
from pipeline.report.sections.significance import significance
from pipeline.report.svg import Scale, dot, drawing
from pipeline.report.text import decimals_for, escape, metric_name, number, seconds

STRIP_WIDTH, STRIP_HEIGHT = 170, 22
LOG_FROM = 4.0  # ratio of the worst fold score to the best one


def section(material: Material) -> Section | None:
    """Ranked by the cross-validated score."""
    if not material.scores and not material.baseline_scores:
        return None
    rows = sorted(_entries(material), key=lambda row: _rank(row, material))
    body = _table(material, rows) + _axis_note(material, rows)
    decimals = decimals_for([value for row in rows for value in (row.get("cv"), row.get("local"))])
    body += significance(material, decimals)
    for name, reason in material.submission.get("left_out", {}).items():
        body += f'<p class="warn"><b>{escape(name)}</b> is left out: {escape(reason)}.</p>'
    metric = escape(metric_name(material.metric))
    direction = "higher" if material.scorer.metric.greater_is_better else "lower"
    lead = (
        f"{metric}, {direction} is better. Blends are scored by weights that never saw the rows they are"
        " scored on, so they compete with members on equal terms; of those that are as good as tied the"
        " simplest is taken. Post-processing is in its own row."
    )
    return Section("leaderboard", "Leaderboard", lead, body)


def _entries(material: Material) -> list[dict[str, Any]]:
    scores = material.scores
    rows: list[dict[str, Any]] = []
    for name, entry in scores.get("members", {}).items():
        fits = material.members[name]
        rows.append({"who": Who("member", name), "seconds": sum(fit.seconds for fit in fits), **entry})
    for name, entry in scores.get("blenders", {}).items():
        local = scores["local"].get(material.metric) if name == scores["chosen"] else None
        rows.append({"who": Who("blend", name), **entry, "local": local})
    if material.submission.get("post") and scores:
        local = scores["post"]["local"].get(material.metric)
        rows.append({"who": Who("blend", scores["chosen"]), **scores["post"], "local": local, "post": True})
    for name, score in material.baseline_scores.items():
        fits = material.baselines[name]
        rows.append(
            {"who": Who("baseline", name), "local": score, "seconds": sum(fit.seconds for fit in fits)}
        )
    return rows


def _rank(row: dict[str, Any], material: Material) -> tuple[bool, float, bool]:
    score = row.get("cv")
    sign = -1.0 if material.scorer.metric.greater_is_better else 1.0
    known = score if score is not None else row.get("local")
    value = sign * known if known is not None and np.isfinite(known) else np.inf
    return (score is None, value, bool(row.get("post")))


def _table(material: Material, rows: Sequence[dict[str, Any]]) -> str:
    decimals = decimals_for([value for row in rows for value in (row.get("cv"), row.get("local"))])
    greater = material.scorer.metric.greater_is_better
    scale = _scale(rows)
    folds = [fold.name for fold in material.folds]
    baseline = material.baseline_scores.get(material.best_baseline or "")
    columns = [
        Column("Who", number=False),
        Column("CV mean", hint="mean over folds"),
        Column("±", hint="standard deviation over folds"),
        Column("Local", hint="on the local hold-out, or the test rows where their truth is known"),
        Column("vs. baseline", hint="local score against the best simple baseline, before post-processing"),
        Column("Fold by fold", number=False, hint="a dot a fold, the upright bar is their mean"),
        Column("Work", hint="seconds of all its fits together"),
    ]
    cells, styles = [], []
    for row in rows:
        who: Who = row["who"]
        scored = [row.get("folds", {}).get(name) for name in folds]
        strip = _strip(scored, row.get("cv"), scale, material.colour(who), folds, decimals)
        cells.append(
            [
                swatch(material.colour(who)) + _who(row, material),
                number(row.get("cv"), decimals),
                number(row.get("cv_std") if len(folds) > 1 else None, decimals),
                number(row.get("local"), decimals),
                ""
                if who.role == "baseline" or row.get("post")  # baselines stand as they are before it
                else gain_cell(gain(row.get("local"), baseline, greater), greater),
                strip if scale else "",
                seconds(row["seconds"]) if "seconds" in row else "",
            ]
        )
        styles.append("chosen" if _submitted(row, material) else "")
    return table(columns, cells, styles)


def _who(row: dict[str, Any], material: Material) -> str:
    who: Who = row["who"]
    words = who.name
    if row.get("post"):
        words = f"{words}, post-processed"
    badge = ' <span class="badge">submitted</span>' if _submitted(row, material) else ""
    return f'{named(words)} <span class="kind">{who.role}</span>{badge}'


def _submitted(row: dict[str, Any], material: Material) -> bool:
    submitted = material.submission.get("baseline")
    if submitted:
        return row["who"] == Who("baseline", submitted)
    return row["who"] == material.blend and bool(row.get("post")) == bool(material.submission.get("post"))


def _scale(rows: Sequence[dict[str, Any]]) -> Scale | None:
    values = [score for row in rows for score in row.get("folds", {}).values() if score is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    log = low > 0 and high / low > LOG_FROM
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, 8, STRIP_WIDTH - 8, log)


def _strip(
    folds: Sequence[float | None],
    mean: float | None,
    scale: Scale | None,
    style: str,
    names: Sequence[str],
    decimals: int,
) -> str:
    known = [(name, score) for name, score in zip(names, folds, strict=True) if score is not None]
    if scale is None or not known:
        return ""
    middle = STRIP_HEIGHT / 2
    places = [scale(score) for _, score in known]
    parts = [
        f'<line class="grid" x1="2" x2="{STRIP_WIDTH - 2}" y1="{middle}" y2="{middle}"/>',
        f'<line class="span" x1="{min(places):.1f}" x2="{max(places):.1f}" y1="{middle}" y2="{middle}"/>',
    ]
    if mean is not None and len(known) > 1 and scale.low <= mean <= scale.high:
        at = scale(mean)
        parts.append(f'<line class="mean" x1="{at:.1f}" x2="{at:.1f}" y1="3" y2="{STRIP_HEIGHT - 3}"/>')
    parts += [
        dot(place, middle, style, f"{name}: {number(score, decimals)}", 3.6)
        for place, (name, score) in zip(places, known, strict=True)
    ]
    words = ", ".join(f"{name} {number(score, decimals)}" for name, score in known)
    return f'<span class="strip">{drawing(parts, words, STRIP_WIDTH, STRIP_HEIGHT)}</span>'


def _axis_note(material: Material, rows: Sequence[dict[str, Any]]) -> str:
    scale = _scale(rows)
    if scale is None:
        return ""
    decimals = decimals_for([scale.low, scale.high], 3)
    kind = ", on a logarithmic scale" if scale.log else ""
    return (
        f'<p class="note">Dots run from {number(scale.low, decimals)} (left) to'
        f" {number(scale.high, decimals)} (right){kind}; the upright bar is the mean over folds.</p>"
    )
