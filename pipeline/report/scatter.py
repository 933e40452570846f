"""Points with their names, drawn as `svg` draws lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
from pipeline.report.text import compact, shorten

MOST_NAMED = 8  # more would lie over each other
LINE = 13.0  # between names
MOST_LETTERS = 20


class Point(NamedTuple):
    """One member."""

    x: float
    y: float
    style: str
    name: str


def scatter(points: Sequence[Point], description: str, x_title: str) -> str:
    """At least one point; names stand beside them where they are few."""
    across = Scale(*padded(*_range([point.x for point in points]), 0.06), LEFT + 6, WIDTH - RIGHT - 6)
    up = Scale(*padded(*_range([point.y for point in points]), 0.1), HEIGHT - BOTTOM - 4, TOP + 4)
    base = HEIGHT - BOTTOM
    parts = grid_lines(up)
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    parts += [label(across(tick), base + 14, compact(tick), "middle") for tick in across.ticks(5)]
    parts.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, x_title, "middle", "faint"))
    parts += [
        dot(
            across(point.x), up(point.y), point.style, f"{point.name}: {compact(point.x)}, {compact(point.y)}"
        )
        for point in points
    ]
    if len(points) <= MOST_NAMED:
        parts += _names(points, across, up)
    return drawing(parts, description)


def _names(points: Sequence[Point], across: Scale, up: Scale) -> list[str]:
    """On the side that has room, moved down where another one stands."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []  # left, right, y
    for point in sorted(points, key=lambda point: up(point.y)):
        x, y, text = across(point.x), up(point.y) + 4, shorten(point.name, MOST_LETTERS)
        width = LETTER * len(text)
        right = x + 7 + width <= WIDTH - 2
        left = x + 7 if right else x - 7 - width
        step = LINE
        while any(low < left + width and left < high and abs(at - y) < LINE for low, high, at in taken):
            y += step
        if y > HEIGHT - BOTTOM - 3:  # below the axis stand its numbers
            y, step = HEIGHT - BOTTOM - 4, -LINE
            while any(low < left + width and left < high and abs(at - y) < LINE for low, high, at in taken):
                y += step
        taken.append((left, left + width, y))
        parts.append(label(x + 7 if right else x - 7, y, text, "start" if right else "end", "faint"))
    return parts


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
