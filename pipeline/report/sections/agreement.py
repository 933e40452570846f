"""Cross-validation against the local score: whether they agree, and what makes the gap where they do not."""

from __future__ import annotations

import numpy as np

from pipeline.report.local_gap import STANDARD_ERRORS, TRIED, Gap, Unit, gap_of, units_of
from pipeline.report.markup import Column, Section, figure, legend, named, table
from pipeline.report.material import Material, Who
from pipeline.report.rank_correlation import rank_correlation
from pipeline.report.svg import LETTER, WIDTH, Scale, dot, drawing, label
from pipeline.report.text import NONE, compact, decimals_for, escape, metric_name, number, plural, shorten

ROW = 22
MOST_ROWS = 16


def section(material: Material) -> Section | None:
    """Of the blend before post-processing, and of the members."""
    gap = gap_of(material)
    if gap is None:
        return None
    body = f"<p>{_verdict(material, gap)}</p>"
    chart, note = _chart(material, gap)
    if chart:
        chips = [("blend chip", "mean over folds ± 2 standard errors"), ("truth", "local")]
        if gap.standard_error is None:
            chips[0] = ("blend chip", "cross-validated")
        body += legend(chips) + f'<div class="one-figure">{figure(chart, "Member by member", note)}</div>'
    if gap.suspicious:
        for unit in units_of(material, gap):
            body += _culprits(material, gap, unit)
    lead = (
        "Rehearsal and local hold-out are scored on different rows. Where they agree, the folds can be"
        " trusted to judge changes; where they do not, improving one may not improve the other."
    )
    return Section("agreement", "Can the folds be trusted?", lead, body)


def _verdict(material: Material, gap: Gap) -> str:
    metric = escape(metric_name(material.metric))
    places = decimals_for([gap.cv, gap.local])
    side = "worse" if gap.worse_by > 0 else "better"
    size = number(abs(gap.worse_by), places)
    stage = ", before post-processing," if material.submission.get("post") else ""
    words = (
        f"The blend{stage} has {metric} {number(gap.cv, places)} in nested cross-validation and"
        f" {number(gap.local, places)} on the local rows, {size} {side}."
    )
    error = gap.standard_error
    if error is None:
        share = abs(gap.worse_by) / abs(gap.cv) if gap.cv else float("inf")
        words += (
            f" One fold has no spread, so nothing says whether {share * 100:.1f} % is much;"
            " two or more folds would (<code>fit.folds=null</code> uses all there are)."
        )
        return words
    many = abs(gap.worse_by) / error if error > 0 else float("inf")
    limit = f"{STANDARD_ERRORS:g} standard errors over {plural(len(gap.folds), 'fold')}"
    if gap.within:
        words += f" That is {many:.1f} standard errors, <b>within {limit}</b>: they agree."
    else:
        words += f" That is {many:.1f} standard errors, <b>beyond {limit}</b>."
    if len(gap.folds) == 2:
        words += " With two folds the standard error itself is hardly known."
    order = _order(material)
    return words + (f" {order}" if order else "")


def _order(material: Material) -> str:
    """Whether members stand in the same order in both."""
    pairs = [
        (entry["cv"], entry["local"])
        for entry in material.scores["members"].values()
        if entry["cv"] is not None and entry.get("local") is not None
    ]
    values = np.array(pairs, dtype=float).reshape(-1, 2)
    found = rank_correlation(values[:, 0], values[:, 1])
    if found is None:
        return ""
    if found.rho >= 0.999:
        return f"All {found.pairs} members stand in the same order in both."
    return f"The rank correlation of both over {found.pairs} members is {number(found.rho, 2)}."


def _chart(material: Material, gap: Gap) -> tuple[str, str]:
    """A row each for the blend and the members: mean over folds with its band, folds, and the local score."""
    rows: list[tuple[Who, list[float], float | None]] = []
    assert material.blend is not None
    rows.append((material.blend, gap.folds, gap.local))
    for name in material.ranking:
        entry = material.scores["members"][name]
        folds = [score for score in entry["folds"].values() if score is not None]
        if folds and entry.get("local") is not None:
            rows.append((Who("member", name), folds, entry["local"]))
    rest = len(rows) - MOST_ROWS
    rows = rows[:MOST_ROWS]
    ends = [
        value for _, folds, local in rows for value in (*_band(folds), *folds, local) if value is not None
    ]
    if not ends or min(ends) == max(ends):
        return "", ""
    left = 14 + LETTER * min(16, max(len(material.name(who)) for who, _, _ in rows))
    scale = Scale(min(ends), max(ends), left, WIDTH - 14)
    decimals = decimals_for(ends)
    height = len(rows) * ROW + 24
    parts = []
    for tick in scale.ticks(4):
        x = scale(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - 20}"/>')
        parts.append(label(x, height - 6, compact(tick), "middle"))
    for index, (who, folds, local) in enumerate(rows):
        y, style = index * ROW + ROW / 2 + 2, material.colour(who)
        parts.append(label(left - 9, y + 4, shorten(material.name(who), 16), "end"))
        low, high = _band(folds)
        words = f"{material.name(who)}: {number(float(np.mean(folds)), decimals)}"
        if high > low:
            parts.append(
                f'<rect class="band {style}" x="{scale(low):.1f}" y="{y - 6:.1f}" height="12" rx="2"'
                f' width="{scale(high) - scale(low):.1f}"><title>{escape(words)}</title></rect>'
            )
        x = scale(float(np.mean(folds)))
        parts.append(f'<line class="line {style}" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 6}" y2="{y + 6}"/>')
        if len(folds) > 1:
            parts += [dot(scale(one), y, style, f"fold: {number(one, decimals)}", 2) for one in folds]
        if local is not None:
            parts.append(_diamond(scale(local), y, f"local: {number(local, decimals)}"))
    note = f"{metric_name(material.metric)}; bar: the mean, dots: folds, diamond: local"
    if rest > 0:
        note += f"; {rest} more members stand in the leaderboard"
    return drawing(parts, "cross-validated and local score by member", WIDTH, height), escape(note)


def _band(folds: list[float]) -> tuple[float, float]:
    mean = float(np.mean(folds))
    if len(folds) < 2:
        return mean, mean
    reach = STANDARD_ERRORS * float(np.std(folds, ddof=1)) / float(np.sqrt(len(folds)))
    return mean - reach, mean + reach


def _diamond(x: float, y: float, words: str) -> str:
    path = f"M{x:.1f},{y - 5.5:.1f}l5.5,5.5l-5.5,5.5l-5.5,-5.5Z"
    return f'<path class="dot truth" d="{path}"><title>{escape(words)}</title></path>'


def _culprits(material: Material, gap: Gap, unit: Unit) -> str:
    """A heading, a sentence and a table."""
    part = "local rows" if gap.side == "local" else "out-of-fold rows"
    many = {"day": "days", "series": "series", "group": "groups"}[unit.kind]
    places = decimals_for([gap.cv, gap.local])
    count = unit.closing
    which = f"without the {count} heaviest of them" if count and count > 1 else "without the heaviest of them"
    if count is not None:
        made = f"{which} the score is {number(unit.without, places)}, which needs no explanation"
    else:
        made = (
            f"even without these {len(unit.culprits)} the score is {number(unit.without, places)}: the gap is"
            f" no matter of a few {many}"
        )
    columns = [
        Column(unit.kind.capitalize(), number=False),
        Column("Judged rows"),
        Column(metric_name(material.metric), hint="of these rows alone"),
        Column("Weight in the gap", hint="how much better the score of the whole part is without it"),
    ]
    beside = any(one.beside is not None for one in unit.culprits)
    if beside:
        other = "out of fold" if gap.side == "local" else "locally"
        columns.insert(3, Column(f"The same {other}", hint="its score in the other part"))
    rows = []
    decimals = decimals_for([one.score for one in unit.culprits])
    digits = decimals_for([one.effect for one in unit.culprits], 2)
    for one in unit.culprits:
        cells = [named(one.name), f"{one.rows:,}", number(one.score, decimals)]
        if beside:
            cells.append(NONE if one.beside is None else number(one.beside, decimals))
        rows.append([*cells, number(one.effect, digits)])
    return (
        f"<h3>{many.capitalize()} that make the gap</h3>"
        f"<p>Those whose {part} weigh most, by leaving each out (of the {TRIED} that look worst): {made}."
        " Leaving out the worst always helps; the question is how few do it.</p>" + table(columns, rows)
    )
