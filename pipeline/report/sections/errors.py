"""Where the errors are: by step of the horizon, by groups of series, by calendar, by target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.scoring import Scorer
from pipeline.report.groupings import Grouping, groupings
from pipeline.report.markup import Section, figure, grid, legend
from pipeline.report.material import Forecasts, Material, Who, scores_by
from pipeline.report.svg import LETTER, WIDTH, Chart, Line, Scale, dot, drawing, label
from pipeline.report.text import compact, decimals_for, escape, metric_name, number, shorten

MOST_STEPS = 60  # points of a line; longer horizons are taken together
MOST_LINES = 6
ROW = 18


def section(material: Material) -> Section | None:
    """Out-of-fold errors of members and blend; errors on local beside the baselines'."""
    figures = []
    for forecasts in (material.oof, material.local):
        if forecasts is not None and forecasts.judged.any():
            figures.append(_by_step(material, forecasts))
    forecasts = material.local if material.local and material.local.judged.any() else material.oof
    if forecasts is None or not forecasts.judged.any():
        return None
    compared = _compared(material, forecasts)
    for grouping in groupings(material, forecasts):
        draw = _by_group if grouping.words else _along
        figures.append(draw(material, forecasts, compared, grouping))
    figures.append(_by_date(material))
    figures.append(_by_target(material, forecasts, compared))
    figures = [one for one in figures if one]
    if not figures:
        return None
    shown: dict[Who, None] = {}
    for one in (material.oof, material.local):
        if one is not None:
            shown |= dict.fromkeys(_lines_of(material, one))
    entries = [(material.colour(who), material.name(who)) for who in shown]
    place = "step of the horizon" if material.prepared.competition.task == "horizon" else "row of the group"
    lead = (
        f"{escape(metric_name(material.metric))} by {place} and by groups. Out of fold there are members and"
        " blend; on the local rows the blend stands beside the simple baselines."
    )
    if material.submission.get("post") and material.blend is not None:
        lead += " On local rows the blend is post-processed, as it was submitted; out of fold it is not."
    return Section("errors", "Where the errors are", lead, legend(entries) + grid(figures))


def _lines_of(material: Material, forecasts: Forecasts) -> list[Who]:
    """Who is drawn: the blend last, so that it lies on top."""
    members = [Who("member", name) for name in material.ranking][:MOST_LINES]
    others = (
        members if forecasts.part == "oof" else [who for who in forecasts.value if who.role == "baseline"]
    )
    blend = [material.blend] if material.blend in forecasts.value else []
    return [*[who for who in others if who in forecasts.value], *blend]  # type: ignore[list-item]


def _compared(material: Material, forecasts: Forecasts) -> list[Who]:
    """Two for the figures by group: what is measured against, and the blend."""
    lines = _lines_of(material, forecasts)
    blend = material.blend if material.blend in forecasts.value else None
    against: Who | None = Who("baseline", material.best_baseline or "")
    if against not in forecasts.value:
        against = Who("member", material.ranking[0]) if len(material.ranking) > 1 else None
    return [who for who in (against, blend) if who is not None] or lines[:1]


def _where(forecasts: Forecasts) -> str:
    return {"oof": "out of fold", "local": "local rows", "test": "test rows"}[forecasts.part]


def _by_step(material: Material, forecasts: Forecasts) -> str:
    step = forecasts.asked.step
    width = max(1, -(-int(step.max()) // MOST_STEPS))
    block = (step - 1) // width
    if len(np.unique(block)) < 2:
        return ""
    lines = []
    for who in _lines_of(material, forecasts):
        scores = scores_by(material.scorer, forecasts.asked, forecasts.value[who], block)
        x = np.array(list(scores), dtype=float) * width + (width + 1) / 2
        style = material.colour(who) + (" thin" if who.role == "member" else "")
        lines.append(Line(x, np.array(list(scores.values())), style, material.name(who)))
    sequence = material.prepared.competition.task == "sequence"
    place = "row of the group" if sequence else "step of the horizon"
    drawing = Chart(lines, f"error by {place}, {_where(forecasts)}", place, from_zero=True).svg()
    return figure(drawing, f"By {place}", _where(forecasts)) if drawing else ""


def _by_group(material: Material, forecasts: Forecasts, compared: list[Who], grouping: Grouping) -> str:
    scores = {
        who: scores_by(material.scorer, forecasts.asked, forecasts.value[who], grouping.label)
        for who in compared
    }
    rows = sorted({label for one in scores.values() for label in one})
    judged = forecasts.judged
    counts = {label: int((grouping.label[judged] == label).sum()) for label in rows}
    named = [(f"{grouping.words.get(label, label)}", counts[label], label) for label in rows]
    drawing = _dumbbells(
        material,
        [(name, count, {who: scores[who].get(label) for who in compared}) for name, count, label in named],
        f"error by {grouping.title}",
    )
    return figure(drawing, f"By {escape(grouping.title)}", _where(forecasts)) if drawing else ""


def _along(material: Material, forecasts: Forecasts, compared: list[Who], grouping: Grouping) -> str:
    """Groups in an order of their own, as lines."""
    lines = []
    for who in compared:
        scores = scores_by(material.scorer, forecasts.asked, forecasts.value[who], grouping.label)
        x, y = np.array(list(scores), dtype=float), np.array(list(scores.values()))
        lines.append(Line(x, y, material.colour(who), material.name(who)))
    words = f"error by {grouping.title}, {_where(forecasts)}"
    drawing = Chart(lines, words, grouping.title, x_ticks=_dates(grouping), from_zero=True).svg()
    return figure(drawing, f"By {escape(grouping.title)}", _where(forecasts)) if drawing else ""


def _by_date(material: Material) -> str:
    """Of the folds' days, out of fold: the blend, or the best member, over time."""
    forecasts = material.oof
    if forecasts is None or len(np.unique(forecasts.asked.fold[forecasts.judged])) < 2:
        return ""
    who = _compared(material, forecasts)
    found = [one for one in groupings(material, forecasts) if one.dates]
    return _along(material, forecasts, who, found[0]) if found else ""


def _dates(grouping: Grouping) -> list[tuple[float, str]] | None:
    if not grouping.dates:
        return None
    count = len(grouping.dates)
    places = np.unique(np.linspace(0.08 * (count - 1), 0.92 * (count - 1), 4).astype(int))
    return [(float(place), grouping.dates[place].strftime("%d %b").lstrip("0")) for place in places.tolist()]


def _by_target(material: Material, forecasts: Forecasts, compared: list[Who]) -> str:
    panel = material.prepared.panel
    if len(panel.target_name) < 2:
        return ""
    rows = []
    for number_, name in enumerate(panel.target_name):
        alone = replace(panel, target=panel.target[:, [number_]], target_name=(name,))
        scorer = Scorer(material.prepared.competition, alone)
        asked = replace(forecasts.asked, truth=forecasts.asked.truth[:, [number_]])
        scores: dict[Who, float | None] = {
            who: scorer.score(asked, forecasts.value[who][:, [number_]]) for who in compared
        }
        rows.append((name, int(forecasts.judged.sum()), scores))
    drawing = _dumbbells(material, rows, "error by target")
    return figure(drawing, "By target", _where(forecasts)) if drawing else ""


def _dumbbells(
    material: Material, rows: list[tuple[str, int, dict[Who, float | None]]], description: str
) -> str:
    """A row a group, a dot for each of those compared."""
    values = [v for _, _, scores in rows for v in scores.values() if v is not None and np.isfinite(v)]
    if len(rows) < 2 or not values:
        return ""
    left = 22 + LETTER * min(15, max(len(name) for name, _, _ in rows))
    scale = Scale(min(0.0, min(values)), max(values) * 1.04 or 1.0, left, WIDTH - 14)
    decimals = decimals_for(values)
    height = len(rows) * ROW + 22
    parts = []
    for tick in scale.ticks(4):
        at = scale(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="2" y2="{height - 20}"/>')
        parts.append(label(at, height - 7, compact(tick), "middle"))
    for index, (name, count, scores) in enumerate(rows):
        y = index * ROW + ROW / 2 + 2
        parts.append(label(left - 9, y + 4, shorten(name, 15), "end"))
        known = {who: score for who, score in scores.items() if score is not None and np.isfinite(score)}
        if len(known) > 1:
            places = [scale(score) for score in known.values()]
            parts.append(
                f'<line class="span" x1="{min(places):.1f}" x2="{max(places):.1f}" y1="{y}" y2="{y}"/>'
            )
        for who, score in known.items():
            words = f"{material.name(who)}, {name}: {number(score, decimals)} ({count:,} rows)"
            parts.append(dot(scale(score), y, material.colour(who), words))
    return drawing(parts, description, WIDTH, height)
