"""The folds, the hold-out and the test rows, drawn to scale."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.folds import Fold
from pipeline.report.markup import Section, figure, legend
from pipeline.report.material import Material
from pipeline.report.svg import Scale, bar, drawing, label
from pipeline.report.text import compact, escape, listed, plural

WIDE, ROW, LEFT = 680, 24, 110


def section(material: Material) -> Section | None:
    """What each fit may learn from (filled) and what it is asked (strong)."""
    split = material.prepared.split
    parts = [*split.folds, *([split.local] if split.local else []), split.test]
    sequence = material.prepared.competition.task == "sequence"
    body = _groups(material, parts) if sequence else _times(material, parts)
    entries = [("learn", "learnt from"), ("asked", "asked")]
    chips = legend([(f"{style} chip", words) for style, words in entries])
    lead = _lead(material, parts)
    return Section("folds", "Folds", lead, chips + body)


def _lead(material: Material, parts: list[Fold]) -> str:
    folds = material.prepared.split.folds
    used = [fold.name for fold in material.folds]
    kind = escape(material.prepared.competition.folds.kind)
    words = f"{plural(len(folds), 'fold')} for cross-validation ({kind})"
    if used and len(used) < len(folds):
        words += f", of which this run used {escape(listed(used))}"
    if material.prepared.split.local is not None:
        words += "; the local rows are held out from all of them"
    if material.prepared.competition.task == "horizon":
        words += ". Every fit sees only what lies before its cut-off"
    return words + ". They stand row by row in <code>prepare/folds.csv</code>."


def _groups(material: Material, parts: list[Fold]) -> str:
    panel = material.prepared.panel
    begin = panel.offsets[:-1]
    most = max((int((part.train_end > begin).sum()) + len(part.asked.row) for part in parts), default=1)
    scale = Scale(0, most, LEFT, WIDE - 12)
    rows = []
    for index, part in enumerate(parts):
        learn, asked = int((part.train_end > begin).sum()), len(part.asked.row)
        y = index * ROW + 4
        rows.append(label(LEFT - 10, y + 12, part.name, "end"))
        rows.append(bar(LEFT, y, scale(learn) - LEFT, 16, "learn", f"{learn:,} groups learnt from"))
        rows.append(bar(scale(learn) + 1, y, scale(asked) - LEFT, 16, "asked", f"{asked:,} groups asked"))
    height = len(parts) * ROW + 20
    rows += [label(scale(tick), height - 4, compact(tick), "middle", "faint") for tick in scale.ticks(5)]
    chart = drawing(rows, "groups learnt from and asked, by part", WIDE, height)
    return f'<div class="scroll wide" tabindex="0">{figure(chart, "Groups by part")}</div>'


def _times(material: Material, parts: list[Fold]) -> str:
    panel = material.prepared.panel
    dated = panel.timestamp is not None
    begin, horizon = panel.offsets[:-1], material.prepared.horizon
    end = material.prepared.split.test.train_end
    # Series without a common calendar are laid with the ends of their history at 0.
    shift = np.zeros(panel.series, dtype=np.int64) if dated else panel.time[np.maximum(end - 1, begin)] + 1

    def at(row: np.ndarray, series: np.ndarray) -> np.ndarray:
        return panel.time[np.minimum(row, panel.rows - 1)] - shift[series]

    spans = []
    for part in parts:
        fitted = np.flatnonzero(part.train_end > begin)
        learn_from = float(np.min(at(begin[fitted], fitted))) if len(fitted) else 0.0
        learn_to = float(np.max(at(part.train_end[fitted] - 1, fitted))) + 1 if len(fitted) else learn_from
        first = at(part.asked.row, part.asked.series)
        if not len(first):
            continue
        spans.append((part, learn_from, learn_to, float(first.min()), float(first.max()) + horizon))
    low, high = min(span[1] for span in spans), max(span[4] for span in spans)
    low = max(
        low, high - 14 * (high - min(span[3] for span in spans))
    )  # long histories are cut, asked parts stay visible
    scale = Scale(low, high, LEFT, WIDE - 12)
    rows = []
    for index, (part, learn_from, learn_to, asked_from, asked_to) in enumerate(spans):
        y = index * ROW + 4
        rows.append(label(LEFT - 10, y + 12, part.name, "end"))
        start, stop = scale(max(learn_from, low)), scale(max(learn_to, low))
        rows.append(bar(start, y, stop - start, 16, "learn", f"{part.label}: learnt from"))
        start, stop = scale(asked_from), scale(asked_to)
        rows.append(bar(start + 1, y, stop - start - 1, 16, "asked", f"{part.label}: asked"))
    height = len(spans) * ROW + 20
    for tick, words in _ticks(material, scale):
        anchor = "end" if scale(tick) > WIDE - 60 else "middle"
        rows.append(label(min(scale(tick), WIDE - 4), height - 4, words, anchor, "faint"))
    chart = drawing(rows, "rows learnt from and asked, by part", WIDE, height)
    title = "By time" if dated else "Rows before and after the end of each series"
    return f'<div class="scroll wide" tabindex="0">{figure(chart, title)}</div>'


def _ticks(material: Material, scale: Scale) -> list[tuple[float, str]]:
    panel = material.prepared.panel
    if panel.timestamp is None:
        return [(tick, compact(tick)) for tick in scale.ticks(6)]
    order = np.argsort(panel.time, kind="stable")
    time, stamps = panel.time[order], pd.DatetimeIndex(panel.timestamp[order])
    ticks = []
    for share in (0.03, 0.26, 0.5, 0.74, 0.97):
        value = scale.low + share * (scale.high - scale.low)
        index = min(int(np.searchsorted(time, value)), len(time) - 1)
        ticks.append((value, stamps[index].strftime("%d %b %Y").lstrip("0")))
    return ticks
