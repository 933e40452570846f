"""An axis of a parameter that is searched: numbers, numbers by their logarithm, or names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.report.svg import Scale, padded
from pipeline.report.text import compact, shorten

LOG_FROM = 20.0  # ratio of the largest value to the smallest one
LETTERS = 12  # of a name
FEW = 4  # numbers that all have a tick


@dataclass(frozen=True)
class Axis:
    """Values to coordinates."""

    scale: Scale
    names: tuple[str, ...] = ()  # of the places 0, 1, ...; () where values are numbers
    few: tuple[float, ...] = ()  # all its numbers, where they are few

    @classmethod
    def over(cls, values: Iterable[Any], start: float, end: float) -> Axis:
        """Of at least one value; start: coordinate of the smallest (or first), end: of the largest (or last).

        Values are taken as names unless all are numbers: true and false, lists and null are names.
        """
        known = list(values)
        numbers = [value for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) < len(known):
            names = tuple(sorted({name_of(value) for value in known}))
            margin = 0.5 if len(names) > 1 else 1.0
            return cls(Scale(-margin, len(names) - 1 + margin, start, end), names)
        low, high = float(min(numbers)), float(max(numbers))
        log = low > 0 and high / low > LOG_FROM
        if not log:
            low, high = padded(low, high, 0.0)
        distinct = tuple(sorted({float(number) for number in numbers}))
        return cls(Scale(low, high, start, end, log), few=distinct if len(distinct) <= FEW else ())

    def __call__(self, value: Any) -> float:
        """Coordinate of a value that the axis was made of."""
        return self.scale(self.names.index(name_of(value)) if self.names else float(value))

    def ticks(self, wanted: int = 4) -> list[tuple[float, str]]:
        """(coordinate, text)."""
        if self.names:
            every = -(-len(self.names) // 6)
            return [
                (self.scale(place), shorten(name, LETTERS))
                for place, name in enumerate(self.names)
                if place % every == 0
            ]
        ticks = self.few or self.scale.ticks(wanted)
        return [(self.scale(tick), compact(float(f"{tick:.3g}"))) for tick in ticks]


def name_of(value: Any) -> str:
    """Of a setting, as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def in_view(scores: Sequence[float], greater_is_better: bool) -> tuple[float, float]:
    """The range of scores that is worth its room: all, unless a few are far worse than the others.

    Far worse is beyond three interquartile ranges from the worse quartile.
    """
    values = np.asarray(scores, dtype=float)
    values = values[np.isfinite(values)]
    first, third = np.quantile(values, [0.25, 0.75])
    reach = 3.0 * max(third - first, 1e-12)
    if greater_is_better:
        return float(max(values.min(), first - reach)), float(values.max())
    return float(values.min()), float(min(values.max(), third + reach))
