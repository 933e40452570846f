"""Crossed categoricals: one category for each combination (R x C), or one column of 0 and 1 for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import codes, known_inputs

MOST_CATEGORIES = 100_000
MOST_COLUMNS = 500


@FEATURES.register("cross")
@dataclass(frozen=True)
class Cross(Feature):
    """For each list of known or static categoricals in `crosses`: a category for each combination of
    their values, 0 where one of them is missing. A list of one column gives that column itself.

    one_hot: a column of 0 and 1 for each combination instead.
    """

    crosses: tuple[tuple[str, ...], ...]
    one_hot: bool = False

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.cross.crosses"
        found: list[Column] = []
        for names in self.crosses:
            if not names:
                raise InputError(f"{where}: found an empty list, expected names of categorical columns")
            for name in known_inputs(competition, panel, names, where):
                codes(panel, name, where)
            title = "_x_".join(names)
            count = int(np.prod([len(panel.categories[name]) for name in names], dtype=np.float64))
            most = MOST_COLUMNS if self.one_hot else MOST_CATEGORIES
            if count > most:
                raise InputError(f"{where}: {title} has {count} combinations, expected at most {most}")
            if not self.one_hot:
                found.append(Column(title, "category", size=count + 1))
                continue
            for values in itertools.product(*(panel.categories[name] for name in names)):
                found.append(Column(f"{title}={'_'.join(values)}", scaled=False))
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        for names in self.crosses:
            combined, count = _combined(panel, names)
            if not self.one_hot:
                yield combined
                continue
            for code in range(1, count + 1):
                yield combined == code

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        names = [*competition.columns.static_categorical, *competition.columns.known_categorical][:2]
        return {"crosses": [names]} if names else None


def _combined(panel: Panel, names: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """(R,) codes 1.. in the order of itertools.product over the columns' values, and their number."""
    combined = np.zeros(panel.rows, dtype=np.int64)
    missing = np.zeros(panel.rows, dtype=bool)
    count = 1
    for name in names:
        code, size = codes(panel, name)
        missing |= code == 0
        combined *= size - 1
        combined += code - 1
        count *= size - 1
    combined += 1
    combined[missing] = 0
    return combined, count
