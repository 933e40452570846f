"""Figures of memory that a competition's report and a suite's page share: gradient by lag, forget gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report.markup import figure, legend
from pipeline.report.svg import Chart, Line
from pipeline.report.text import NONE, escape, number

#: float32 resolves no smaller share of the largest value: below it a gradient is rounding.
RESOLUTION = 1e-7

#: What a column of it means.
CAPACITY = (
    "Jaeger's memory capacity: how many past values of a random input can be read off its states, of at most"
    " as many as it has units; a dash where it cannot be measured"
)


def gradient_figure(
    curves: Sequence[tuple[str, str, np.ndarray]],
    note: str = "",
    marks: Sequence[int] = (),
    title: str = "Gradient by lag",
) -> str:
    """Each curve as a share of its sum; curves: name, CSS classes, mean norm by lag (lag 0 first)."""
    lines = []
    for name, style, gradient in curves:
        total, largest = np.nansum(gradient), np.nanmax(gradient, initial=0.0)
        if total > 0:
            share = np.where(gradient > RESOLUTION * largest, gradient / total, np.nan)
            lines.append(Line(np.arange(len(share), dtype=float), share, style, name))
    if not lines:
        return ""
    chart = Chart(lines, "share of the gradient by lag", "rows earlier", marks=marks, log=True)
    words = "share of its sum, logarithmic" + (f"; {escape(note)}" if note else "")
    return figure(chart.svg(), escape(title), words)


def retention_figure(layers: Sequence[dict[str, Any]], title: str) -> str:
    """What is left in the cells of recurrent layers after so many rows; layers: as in memory.json."""
    lines, words = [], []
    names = layer_names(layers)
    for index, (name, layer) in enumerate(zip(names, layers, strict=True)):
        lag, style = np.array(layer["lag"], dtype=float), f"m{index % 8}"
        lines.append(Line(lag, np.array(layer["mean_kept"], dtype=float), style, name))
        slow = np.array(layer["kept"]["0.9"], dtype=float)
        lines.append(Line(lag, slow, f"thin inner {style}", f"{name}, a tenth keeps more"))
        middle = median_timescale(layer)
        words.append((style, f"{name}: {'no end' if middle is None else f'{number(middle, 1)} rows'}"))
    chart = Chart(lines, f"{title}: what is left by lag", "rows earlier", from_zero=True)
    return figure(chart.svg() + legend(words), escape(title))


def layer_names(layers: Sequence[dict[str, Any]]) -> list[str]:
    """'layer 0 backward', with the mixer's name before it where there are several."""
    names = [str(layer["layer"]) for layer in layers]
    several = len({name.partition(" ")[0] for name in names}) > 1
    return names if several else [name.partition(" ")[2] for name in names]


def median_timescale(layer: dict[str, Any]) -> float | None:
    """Rows until 1/e is left, of the middle unit of a layer of memory.json; None: it keeps everything."""
    value = float(np.median([np.inf if one is None else one for one in layer["timescale"]]))
    return value if np.isfinite(value) else None


def better_law(fit: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of a `fit` of memory.json the better law: law, scale, rate, floor, and `weight`, its Akaike weight."""
    if fit is None:
        return None
    law = fit[fit["better"]]
    return {name: law[name] for name in ("law", "scale", "rate", "floor")} | {"weight": fit["weight"]}


def law_words(law: dict[str, Any] | None) -> str:
    """'exponential, 12.3 rows' or 'power law, 0.8', the floor where there is one, and its Akaike weight."""
    if law is None:
        return NONE
    if law["law"] == "exponential":
        # One that does not fall at all is level, whichever law.
        words = "level" if law["rate"] is None else f"exponential, {law['rate']:.3g} rows"
    else:
        words = f"power law, {law['rate']:.3g}" if law["rate"] else "level"
    floor = " and a floor" if law["floor"] else ""
    return f'{words}{floor} <span class="kind">{law["weight"]:.2f}</span>'


def capacity_words(capacity: tuple[float, int] | None) -> str:
    """Jaeger's memory capacity and the units, its upper bound."""
    return NONE if capacity is None else f"{number(capacity[0], 1)} of {capacity[1]}"


def t50_words(length: int, tried: Sequence[int]) -> str:
    """T50 with what was tried: '< 25' of none, '\u2265 100' of all."""
    if length == 0:
        return f"&lt; {min(tried)}"
    return f"\N{GREATER-THAN OR EQUAL TO} {length}" if length == max(tried) else str(length)
