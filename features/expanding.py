"""Statistics of known columns so far in the series, and how a row stands to those of the whole group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose, known_numbers
from features.rolling_statistics import rolling
from features.within_series import cumulative_maximum, cumulative_minimum, spread, whole_series

STATISTICS = ("mean", "std", "min", "max")


@FEATURES.register("expanding")
@dataclass(frozen=True)
class Expanding(Feature):
    """`so_far`: statistics of the rows up to and with this one. Sequence tasks, whose groups are given
    whole, have two more: `whole`, statistics of the group (the same on all of its rows), and
    `whole_minus`, those statistics minus the row's value.
    """

    inputs: tuple[str, ...] = ()  # known columns; []: all known reals
    so_far: tuple[str, ...] = ("max", "mean")
    whole: tuple[str, ...] = ()
    whole_minus: tuple[str, ...] = ()

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.expanding"
        for setting in ("so_far", "whole", "whole_minus"):
            choose(f"{where}.{setting}", "statistic", getattr(self, setting), STATISTICS)
        if competition.task != "sequence" and (self.whole or self.whole_minus):
            # At the end of the history less of the future is known than in a training window before it.
            raise InputError(
                f"{where}: whole and whole_minus are for sequence tasks, whose groups are given whole; "
                f"this is a {competition.task} task: expected so_far only"
            )
        found: list[Column] = []
        for name, _ in known_numbers(competition, panel, self.inputs, where):
            found += [Column(f"{name}.so_far_{statistic}") for statistic in self.so_far]
            found += [Column(f"{name}.whole_{statistic}") for statistic in self.whole]
            found += [Column(f"{name}.whole_{statistic}_minus") for statistic in self.whole_minus]
        return tuple(found)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        offsets = panel.offsets
        longest = int(np.diff(offsets).max(initial=1))
        for _, value in known_numbers(competition, panel, self.inputs, "features.expanding"):
            for statistic in self.so_far:
                if statistic == "max":
                    yield cumulative_maximum(value, offsets)
                elif statistic == "min":
                    yield cumulative_minimum(value, offsets)
                else:
                    yield rolling(value, offsets, statistic, longest)
            whole = {
                statistic: whole_series(value, offsets, statistic)
                for statistic in {*self.whole, *self.whole_minus}
            }
            for statistic in self.whole:
                yield spread(whole[statistic], offsets)
            for statistic in self.whole_minus:
                yield spread(whole[statistic], offsets) - value

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if not competition.columns.known_real:
            return None
        settings: dict[str, Any] = {"so_far": list(STATISTICS)}
        if competition.task == "sequence":
            settings |= {"whole": list(STATISTICS), "whole_minus": ["max", "mean"]}
        return settings
