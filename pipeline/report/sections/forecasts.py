"""Forecasts against the truth on a few series: typical, best and worst ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from data.panel import Panel
from pipeline.report.intervals import Interval, interval_of
from pipeline.report.markup import Section, figure, grid, legend
from pipeline.report.material import Forecasts, Material, Who
from pipeline.report.svg import Band, Chart, Line
from pipeline.report.text import decimals_for, escape, metric_name, number, shorten
from pipeline.report.windows import Picked, pick

HISTORY = 2.0  # rows shown before the origin, in horizons
LEAST_HISTORY = 24
BRIDGED = 3  # rows without a judged value that a line passes over
MOST_STATICS = 3  # named above a figure


def section(material: Material) -> Section | None:
    """Drawn where the truth is known: on local, else out of fold."""
    forecasts = material.local or material.oof
    if forecasts is None:
        return None
    who = _shown(material, forecasts)
    if who is None:
        return None
    chosen, scored, known = pick(material.scorer, forecasts, who)
    if not chosen:
        return None
    beside = _beside(material, forecasts, who)
    interval = interval_of(material, forecasts, who)
    figures = [_figure(material, forecasts, one, who, beside, interval) for one in chosen]
    entries = [("truth", "truth")]
    if material.prepared.competition.task == "horizon":
        entries.insert(0, ("history", "history"))
    elif not forecasts.judged.all():
        entries.append(("history", "truth, not judged"))
    entries.append((material.colour(who), material.name(who)))
    if interval is not None:
        entries.append((f"{material.colour(who)} chip interval", f"{interval.level * 100:.0f} % interval"))
    if beside is not None:
        entries.append((material.colour(beside), material.name(beside)))
    return Section(
        "forecasts",
        "Forecasts against the truth",
        _lead(material, forecasts, scored, known) + _interval_words(interval, forecasts),
        legend(entries) + grid(figures),
    )


def _lead(material: Material, forecasts: Forecasts, scored: int, known: int) -> str:
    where = {
        "local": "local hold-out, which no model here has seen",
        "test": "test rows, whose truth is known and which no model here has seen",
        "oof": "out-of-fold rows, each predicted by a model that has not seen it",
    }[forecasts.part]
    of = f"a sample of {scored:,} of {known:,} forecasts" if scored < known else f"all {known:,} forecasts"
    metric = escape(metric_name(material.metric))
    words = (
        f"From the {where}. Two typical forecasts (around the median {metric}), the two best"
        f" and the two worst of {of}."
    )
    if known <= 6:
        words = f"From the {where}: all {known:,} forecasts, the best first."
    if not forecasts.judged.all():
        words += " Shaded rows are predicted but not judged, and left out of the lines."
    names = material.prepared.panel.target_name
    if len(names) > 1:
        words += f" Shown is {escape(names[0])}, the first of {len(names)} targets; the score is over all."
    return words


def _interval_words(interval: Interval | None, forecasts: Forecasts) -> str:
    if interval is None:
        return ""
    source = "from the blend's quantiles" if interval.source == "quantiles" else "from errors out of fold"
    rows = {"oof": "out-of-fold", "local": "local", "test": "test"}[forecasts.part]
    return (
        f" The {interval.level * 100:.0f} % interval, {source}, holds"
        f" <b>{interval.coverage * 100:.0f} %</b> of the truth of all judged {rows} rows."
    )


def _shown(material: Material, forecasts: Forecasts) -> Who | None:
    """The blend, or the submitted baseline where there is none."""
    if material.blend is not None:
        return material.blend
    return next((who for who in forecasts.value if who.name == material.submission.get("baseline")), None)


def _beside(material: Material, forecasts: Forecasts, who: Who) -> Who | None:
    """A second line to compare with: the best baseline, else the best member."""
    baseline = Who("baseline", material.best_baseline or "")
    if baseline in forecasts.value:
        return None if baseline == who else baseline
    if len(material.ranking) > 1:
        return Who("member", material.ranking[0])
    return None


def _figure(
    material: Material,
    forecasts: Forecasts,
    one: Picked,
    who: Who,
    beside: Who | None,
    interval: Interval | None,
) -> str:
    panel, asked = material.prepared.panel, forecasts.asked
    series, origin = int(asked.series[one.rows[0]]), int(asked.origin[one.rows[0]])
    row = asked.row_id[one.rows]
    sequence = material.prepared.competition.task == "sequence"
    first = origin if sequence else _first_row(material, series, origin)
    place = np.arange(first, int(row.max()) + 1)  # panel rows from left to right
    judged = asked.weight[one.rows] > 0
    x = place.astype(float) - origin + 1

    def laid(value: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Values of the asked rows that are shown, in their places."""
        found = np.full(len(place), np.nan)
        found[(row - first)[shown]] = value[one.rows, 0][shown]
        return _bridged(found)

    def line(value: np.ndarray, shown: np.ndarray, style: str, words: str) -> Line:
        return Line(x, laid(value, shown), style, words)

    past = (place < origin) & (panel.weight[place] > 0)
    history = np.where(past, panel.target[place, 0], np.nan)
    lines = [Line(x, _bridged(history), "history", "history")]
    if sequence:  # elsewhere rows that are not judged have no meaning (closed, missing)
        lines.append(line(asked.truth, ~judged, "history", "truth, not judged"))
    lines.append(line(asked.truth, judged, "truth", "truth"))
    for other in (beside, who):
        if other is not None:
            value = forecasts.value[other]
            lines.append(line(value, judged, material.colour(other), material.name(other)))
    bands = []
    if interval is not None:
        bands.append(Band(x, laid(interval.low, judged), laid(interval.high, judged), material.colour(who)))
    chart = Chart(
        lines,
        f"{one.kind} forecast of {panel.series_name[series]} against the truth",
        _x_title(material),
        x_ticks=_date_ticks(panel, place, x) if panel.timestamp is not None else None,
        shaded=_unjudged(row - origin + 1, asked.weight[one.rows]),
        mark=None if sequence else 0.5,
        bands=bands,
    )
    score = number(one.score, decimals_for([one.score]))
    name = escape(shorten(_name(material, series), 40))
    title = f'<span class="badge {one.kind}">{one.kind}</span> {name}'
    note = f"{escape(metric_name(material.metric))} {score}{_statics(panel, series)}"
    return figure(chart.svg(), title, note)


def _first_row(material: Material, series: int, origin: int) -> int:
    rows = max(LEAST_HISTORY, round(HISTORY * material.prepared.horizon))
    return max(int(material.prepared.panel.offsets[series]), origin - rows)


def _name(material: Material, series: int) -> str:
    name = str(material.prepared.panel.series_name[series])
    columns = material.prepared.competition.series
    return f"{columns[0]} {name}" if len(columns) == 1 and len(name) < 12 else name


def _statics(panel: Panel, series: int) -> str:
    words: list[str] = []
    for column in panel.static.columns:
        if column in panel.categories and len(words) < MOST_STATICS:
            code = int(panel.static[column].iloc[series])
            if code > 0:
                words.append(f"{column} {panel.categories[column][code - 1]}")
    return "".join(f" · {escape(shorten(word, 24))}" for word in words)


def _x_title(material: Material) -> str:
    if material.prepared.competition.task == "sequence":
        return "row of the group"
    return "" if material.prepared.panel.timestamp is not None else "rows from the origin on"


def _bridged(value: np.ndarray) -> np.ndarray:
    """The same with gaps of at most `BRIDGED` rows filled in straight; longer ones stay."""
    known = np.flatnonzero(np.isfinite(value))
    filled = value.copy()
    for left, right in pairwise(known):
        if 1 < right - left <= BRIDGED + 1:
            filled[left : right + 1] = np.linspace(value[left], value[right], right - left + 1)
    return filled


def _unjudged(step: np.ndarray, weight: np.ndarray) -> list[tuple[float, float]]:
    """Ranges of x whose rows have weight 0."""
    ranges: list[tuple[float, float]] = []
    for at in step[weight <= 0]:
        if ranges and at - 0.5 <= ranges[-1][1] + 1e-9:
            ranges[-1] = (ranges[-1][0], at + 0.5)
        else:
            ranges.append((at - 0.5, at + 0.5))
    return [(max(low, float(step.min())), min(high, float(step.max()))) for low, high in ranges]


def _date_ticks(panel: Panel, place: np.ndarray, x: np.ndarray) -> list[tuple[float, str]]:
    assert panel.timestamp is not None
    stamps = pd.DatetimeIndex(panel.timestamp[place])
    span = stamps[-1] - stamps[0]
    kept = np.unique(np.linspace(0.06 * (len(place) - 1), 0.94 * (len(place) - 1), 4).astype(int))
    if span > pd.Timedelta(days=700):
        form = "%b %Y"
    elif span > pd.Timedelta(days=4):
        form = "%d %b"
    else:
        form = "%d %b %H:%M"
        kept = kept[:: 2 if len(kept) > 3 else 1]
    return [(float(x[index]), stamps[index].strftime(form).lstrip("0")) for index in kept]
