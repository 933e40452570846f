"""Drawings of a study's trials: their history, slices by parameter, two objectives, parallel coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.report.axis import Axis, in_view, name_of
from pipeline.report.studies import Study, Trial
from pipeline.report.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    LETTER,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    dot,
    drawing,
    grid_lines,
    label,
    padded,
)
from pipeline.report.text import compact, escape, shorten

WIDE, TALL = 680, 236  # of parallel coordinates
MOST_AXES = 8  # score included
LEAST_LINES = 3  # fewer are seen as well in the slices

#: CSS classes of a trial's mark.
Style = Callable[[Trial], str]


def history(study: Study, style: Style) -> str:
    """Score by trial; a step line runs along the best so far, ticks on the axis are pruned trials."""
    if not study.complete:
        return ""
    numbers = [trial.number for trial in study.trials]
    across = Scale(*padded(min(numbers), max(numbers), 0.04), LEFT, WIDTH - RIGHT)
    up = _up(study)
    parts = grid_lines(up) + _frame(across, "trial")
    better = max if study.greater_is_better else min
    best: float | None = None
    words: list[str] = []
    for trial in study.complete:
        before, best = best, trial.score if best is None else better(best, trial.score)
        x = across(trial.number)
        if before is None:
            words.append(f"M{x:.1f},{up(_kept(best, up)):.1f}")
        else:
            words.append(f"H{x:.1f}V{up(_kept(best, up)):.1f}")
    words.append(f"H{across(max(numbers)):.1f}")
    parts.append(f'<path class="line best-so-far" d="{"".join(words)}"/>')
    for trial in study.trials:
        if trial.state == "pruned":
            parts.append(_tick(across(trial.number), f"trial {trial.number}: {trial.reason or 'pruned'}"))
    parts += [_mark(trial, across(trial.number), up, style(trial)) for trial in study.complete]
    return drawing(parts, f"score of the trials of {study.name} in their order")


def slice_(study: Study, name: str, style: Style) -> str:
    """Score by the values of one parameter."""
    trials = [trial for trial in study.complete if name in trial.parameters]
    across = Axis.over([trial.parameters[name] for trial in trials], LEFT + 8, WIDTH - RIGHT - 8)
    up = _up(study)
    parts = grid_lines(up) + _frame(across.scale, "", across.ticks())
    parts += [_mark(trial, across(trial.parameters[name]), up, style(trial)) for trial in trials]
    return drawing(parts, f"score by {name}")


def objectives(study: Study, style: Style) -> str:
    """The second objective by the score; a line joins the trials that no other one beats in both."""
    trials = [trial for trial in study.complete if np.isfinite(trial.values[1])]
    if not trials:
        return ""
    second = Axis.over([trial.values[1] for trial in trials], LEFT + 8, WIDTH - RIGHT - 8)
    up = _up(study)
    parts = grid_lines(up) + _frame(second.scale, study.objectives[1].replace("_", " "), second.ticks())
    front = sorted(study.front(), key=lambda trial: trial.values[1])
    places = [f"{second(trial.values[1]):.1f},{up(_kept(trial.score, up)):.1f}" for trial in front]
    parts.append(f'<path class="line best-so-far" d="M{"L".join(places)}"/>')
    parts += [_mark(trial, second(trial.values[1]), up, style(trial)) for trial in trials]
    return drawing(parts, f"{study.objectives[1]} by score")


def parallel(study: Study, best: Trial | None, metric: str) -> str:
    """A line a trial through its score and its parameters, the most important first; good scores on top."""
    names = study.parameters()[: MOST_AXES - 1]
    trials = [trial for trial in study.complete if all(name in trial.parameters for name in names)]
    if len(trials) < LEAST_LINES or len(names) < 2:
        return ""
    top, bottom = 34.0, TALL - 14.0
    low, high = padded(*_in_view(study), 0.0)
    score = Scale(low, high, *((bottom, top) if study.greater_is_better else (top, bottom)))
    places = np.linspace(60, WIDE - 96, len(names) + 1)
    axes = [Axis.over([one.parameters[name] for one in trials], bottom, top) for name in names]
    parts = []
    rank = {one.number: place for place, one in enumerate(sorted(trials, key=_badness(study)))}
    for trial in sorted(trials, key=lambda one: -rank[one.number]):
        heights = [score(_kept(trial.score, score))]
        heights += [axis(trial.parameters[name]) for axis, name in zip(axes, names, strict=True)]
        points = "L".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))
        share = rank[trial.number] / max(1, len(trials) - 1)
        style = "neutral rest" if share > 0.25 else "blend good"
        if best is not None and trial.number == best.number:
            style = "blend top"
        settings = ", ".join(f"{name} {_value(trial.parameters[name])}" for name in names)
        title = f"<title>trial {trial.number}: {compact(trial.score)}; {escape(settings)}</title>"
        parts.append(f'<path class="line {style}" d="M{points}">{title}</path>')
    shown = [(metric, [(score(tick), compact(tick)) for tick in score.ticks(4)])]
    shown += [(name, axis.ticks(4)) for name, axis in zip(names, axes, strict=True)]
    room = int((places[1] - places[0]) / 6.4)
    for index, (x, (name, ticks)) in enumerate(zip(places, shown, strict=True)):
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        anchor = "middle" if 0 < index < len(names) else "start" if index == 0 else "end"
        at = x if anchor == "middle" else x - 56 if anchor == "start" else x + 92
        parts.append(label(at, 14, shorten(name, max(8, room)), anchor))
        side, gap = ("end", -6) if index == 0 else ("start", 6)
        parts += [_haloed(x + gap, y + 4, text, side) for y, text in ticks]
    return drawing(parts, f"parallel coordinates of the trials of {study.name}", WIDE, TALL)


def cut_off(study: Study) -> int:
    """Trials that are worse than the axis of scores shows."""
    low, high = _in_view(study)
    return sum(not low <= trial.score <= high for trial in study.complete)


def _in_view(study: Study) -> tuple[float, float]:
    return in_view([trial.score for trial in study.complete], study.greater_is_better)


def _badness(study: Study) -> Callable[[Trial], float]:
    sign = -1.0 if study.greater_is_better else 1.0
    return lambda trial: sign * trial.score


def _up(study: Study) -> Scale:
    return Scale(*padded(*_in_view(study), 0.08), HEIGHT - BOTTOM, TOP)


def _kept(value: float, scale: Scale) -> float:
    return min(max(value, scale.low), scale.high)


def _mark(trial: Trial, x: float, up: Scale, style: str) -> str:
    """A dot; the defaults are a ring, what lies beyond the axis an arrow at its end."""
    words = f"trial {trial.number}{' (the defaults)' if trial.default else ''}: {compact(trial.score)}"
    if trial.score != _kept(trial.score, up):
        y = up(_kept(trial.score, up))
        tip = 5.0 if trial.score < up.low else -5.0
        path = f"M{x - 3.5:.1f},{y - tip:.1f}L{x + 3.5:.1f},{y - tip:.1f}L{x:.1f},{y:.1f}Z"
        return f'<path class="dot {style}" d="{path}"><title>{words}</title></path>'
    if trial.default:
        place = f'cx="{x:.1f}" cy="{up(trial.score):.1f}" r="4.5"'
        return f'<circle class="ring {style}" {place}><title>{words}</title></circle>'
    return dot(x, up(trial.score), style, words, 3.4)


def _tick(x: float, words: str) -> str:
    base = HEIGHT - BOTTOM
    return (
        f'<line class="pruned" x1="{x:.1f}" x2="{x:.1f}" y1="{base - 7}" y2="{base}">'
        f"<title>{escape(words)}</title></line>"
    )


def _frame(across: Scale, title: str, ticks: Sequence[tuple[float, str]] | None = None) -> list[str]:
    """The axis below."""
    base = HEIGHT - BOTTOM
    if ticks is None:
        ticks = [(across(tick), compact(tick)) for tick in across.ticks(5) if tick == round(tick)]
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']
    free = 0.0  # from where on there is room
    for x, text in sorted(ticks):
        width = LETTER * len(text)
        left = min(x - width / 2, WIDTH - 2 - width)
        if left >= free:
            parts.append(label(left + width / 2, base + 14, text, "middle"))
            free = left + width + 3
    if title:
        parts.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, title, "middle", "faint"))
    return parts


def _haloed(x: float, y: float, text: str, anchor: str) -> str:
    """Text that can be read above lines."""
    return label(x, y, text, anchor, "halo")


def _value(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return compact(float(value)) if number else name_of(value)  # type: ignore[arg-type]
