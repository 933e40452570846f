"""Charts as SVG text, drawn by hand: small, sharp, and coloured by the page's style sheet.

Every chart is drawn for a box of about the width of a phone; pages put several side by side. Coordinates
are in that box's units, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.report.text import compact, escape, shorten

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 32
MOST_POINTS = 500  # of one line
LETTER = 7.2  # mean width of a letter


@dataclass(frozen=True)
class Scale:
    """Data to coordinates."""

    low: float
    high: float
    start: float  # coordinate of low
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, wanted: int = 4) -> list[float]:
        """Round values inside the range."""
        if self.log:
            steps = [m * 10.0**e for e in range(-12, 13) for m in (1, 2, 5)]
            inside = [step for step in steps if self.low <= step <= self.high]
            decades = [10.0**e for e in range(-12, 13) if self.low <= 10.0**e <= self.high]
            if len(decades) >= wanted:
                return decades[:: -(-len(decades) // (wanted + 1))]
            if len(inside) >= 2:
                return inside[:: max(1, len(inside) // wanted)]
        span = self.high - self.low
        if span <= 0 or not math.isfinite(span):
            return [self.low]
        raw = span / wanted
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [round(step * (first + index), 12) for index in range(count)]


@dataclass(frozen=True)
class Line:
    """One line of a chart; NaN breaks it."""

    x: np.ndarray
    y: np.ndarray
    style: str  # CSS classes
    label: str = ""  # shown when pointed at
    points: bool = False  # a dot at each


@dataclass(frozen=True)
class Band:
    """An area between two lines; NaN breaks it."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    style: str  # CSS classes


@dataclass(frozen=True)
class Chart:
    """Lines over common axes."""

    lines: Sequence[Line]
    label: str  # what it shows, for those who do not see it
    x_title: str = ""
    x_ticks: Sequence[tuple[float, str]] | None = None  # None: numbers
    shaded: Sequence[tuple[float, float]] = field(default_factory=tuple)  # ranges of x
    mark: float | None = None  # a vertical line
    marks: Sequence[float] = field(default_factory=tuple)  # faint ones
    from_zero: bool = False
    log: bool = False
    log_x: bool = False
    whole_x: bool = True  # ticks at whole numbers only
    bands: Sequence[Band] = field(default_factory=tuple)  # behind the lines

    def svg(self) -> str:
        """The drawing; '' where no line has a point."""
        x = np.concatenate([line.x[np.isfinite(line.y)] for line in self.lines] or [np.empty(0)])
        heights = [line.y for line in self.lines]
        if heights:
            heights += [end for band in self.bands for end in (band.low, band.high)]
        y = np.concatenate([height[np.isfinite(height)] for height in heights] or [np.empty(0)])
        if not len(y):
            return ""
        log = self.log and y.min() > 0
        across = Scale(*padded(x.min(), x.max(), 0.0), LEFT, WIDTH - RIGHT, self.log_x)
        low, high = (y.min() / 1.05, y.max() * 1.05) if log else padded(y.min(), y.max(), 0.06)
        if self.from_zero and not log and y.min() >= 0:
            low = 0.0
        up = Scale(low, high, HEIGHT - BOTTOM, TOP, log)
        parts = [*self._shades(across), *grid_lines(up), *self._x_axis(across)]
        parts += [_vertical("grid", across(at)) for at in self.marks]
        if self.mark is not None:
            parts.append(_vertical("mark", across(self.mark)))
        parts += [_area(band, across, up) for band in self.bands]
        parts += [_path(line, across, up) for line in self.lines]
        return drawing(parts, self.label)

    def _shades(self, across: Scale) -> list[str]:
        return [
            f'<rect class="shade" x="{across(low):.1f}" y="{TOP}" width="{across(high) - across(low):.1f}"'
            f' height="{HEIGHT - BOTTOM - TOP}"/>'
            for low, high in self.shaded
        ]

    def _x_axis(self, across: Scale) -> list[str]:
        ticks = self.x_ticks
        if ticks is None:
            values = [tick for tick in across.ticks(5) if not self.whole_x or tick == round(tick)]
            ticks = [(tick, compact(tick)) for tick in values]
        base = HEIGHT - BOTTOM
        parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']
        for value, text in ticks:
            anchor = "end" if across(value) > WIDTH - RIGHT - 14 else "middle"
            parts.append(label(across(value), base + 14, text, anchor))
        if self.x_title:
            parts.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, self.x_title, "middle", "faint"))
        return parts


def drawing(parts: Sequence[str], description: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """An <svg> element of the parts."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(description)}">'
        + "".join(parts)
        + "</svg>"
    )


def label(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    """Text at a place."""
    classes = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{classes}>{escape(text)}</text>'


def dot(x: float, y: float, style: str, title: str, radius: float = 4) -> str:
    """A filled circle that says what it is when pointed at."""
    return (
        f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">'
        f"<title>{escape(title)}</title></circle>"
    )


def bar(x: float, y: float, width: float, height: float, style: str, title: str) -> str:
    """A filled rectangle that says what it is when pointed at."""
    return (
        f'<rect class="bar {style}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.75):.1f}"'
        f' height="{height:g}" rx="1.5"><title>{escape(title)}</title></rect>'
    )


def bars(
    rows: Sequence[tuple[str, float, str]], style: str, description: str, text_width: float = 130
) -> str:
    """Horizontal bars: (name, value >= 0, value in words), in the order given."""
    step = 19
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    room = WIDTH - text_width - _beside(rows)
    parts = []
    for index, (name, value, words) in enumerate(rows):
        y = index * step
        length = room * value / most
        parts.append(label(text_width - 6, y + 13, shorten(name, int((text_width - 6) / LETTER)), "end"))
        parts.append(bar(text_width, y + 3, length, 12, style, f"{name}: {words}"))
        parts.append(label(text_width + max(length, 0.75) + 5, y + 13, words, "start", "faint"))
    return drawing(parts, description, WIDTH, len(rows) * step + 2)


def named_bars(rows: Sequence[tuple[str, float, str]], style: str, description: str) -> str:
    """As `bars`, each under its name, so that long names have room."""
    step = 34
    most = max((value for _, value, _ in rows), default=0.0) or 1.0
    parts = []
    for index, (name, value, words) in enumerate(rows):
        y = index * step
        shown = shorten(name, int(WIDTH / LETTER) - 1)
        length = (WIDTH - _beside(rows)) * value / most
        parts.append(label(0, y + 12, shown))
        parts.append(bar(0, y + 19, length, 8, style, f"{name}: {words}"))
        parts.append(label(max(length, 0.75) + 6, y + 28, words, "start", "faint"))
    return drawing(parts, description, WIDTH, len(rows) * step + 2)


def _beside(rows: Sequence[tuple[str, float, str]]) -> float:
    """Room for the words behind the longest bar."""
    return 12 + LETTER * max((len(words) for _, _, words in rows), default=0)


def _vertical(style: str, at: float) -> str:
    return f'<line class="{style}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'


def grid_lines(up: Scale) -> list[str]:
    """Horizontal lines with their numbers."""
    parts = []
    for tick in up.ticks(4):
        y = up(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(label(LEFT - 5, y + 3.5, compact(tick), "end"))
    return parts


def _path(line: Line, across: Scale, up: Scale) -> str:
    x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
    if len(x) > MOST_POINTS:
        kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
        x, y = x[kept], y[kept]
    words, drawn = [], False
    known = np.isfinite(y)
    alone = []
    for index in range(len(x)):
        if not known[index]:
            drawn = False
            continue
        place = f"{across(x[index]):.1f},{up(y[index]):.1f}"
        words.append(("L" if drawn else "M") + place)
        before = index > 0 and known[index - 1]
        after = index + 1 < len(x) and known[index + 1]
        if line.points or (not before and not after):
            alone.append(dot(across(x[index]), up(y[index]), line.style, line.label, 2))
        drawn = True
    title = f"<title>{escape(line.label)}</title>" if line.label else ""
    return f'<path class="line {line.style}" d="{"".join(words)}">{title}</path>' + "".join(alone)


def _area(band: Band, across: Scale, up: Scale) -> str:
    known = np.isfinite(band.low) & np.isfinite(band.high)
    words = []
    for run in np.split(np.flatnonzero(known), np.flatnonzero(np.diff(np.flatnonzero(known)) > 1) + 1):
        if len(run) > 1:
            there = [f"{across(band.x[place]):.1f},{up(band.high[place]):.1f}" for place in run]
            back = [f"{across(band.x[place]):.1f},{up(band.low[place]):.1f}" for place in run[::-1]]
            words.append("M" + "L".join([*there, *back]) + "Z")
    return f'<path class="area {band.style}" d="{"".join(words)}"/>' if words else ""


def padded(low: float, high: float, share: float) -> tuple[float, float]:
    """A range a little wider on both sides; around the value where there is but one."""
    span = float(high - low)
    if span <= 0:
        around = abs(float(high)) * 0.1 or 1.0
        return float(low) - around, float(high) + around
    return float(low) - share * span, float(high) + share * span
