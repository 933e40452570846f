"""Run lengths to and since events of known columns: promotions, holidays, closed days."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.reading import choose, codes, is_category, known_inputs, numbers, positive
from features.rolling_statistics import window_sum
from features.within_series import rows_since, rows_until, shift

OUTPUTS = ("since", "to", "elapsed", "length")
NO_EVENT = {"0", "0.0", "", "none", "no", "false", "nan"}


@FEATURES.register("events")
@dataclass(frozen=True)
class Events(Feature):
    """For each event, in rows of the series, at most `cap` and divided by it, so that 1 means `cap` or more:

    since    rows since the last row of the event (0 on one)
    to       rows to the next one: only those within the panel are seen, so `cap` should be no more than the
             horizon, else the end of the test rows looks unlike the rest
    elapsed  rows since the current run (of the event, or of its absence) began
    length   rows of the current run of the event; 0 off it

    events: known columns (true where the number or the category is not 0, no, none, false), or
    "column=a|b" or "column!=a|b". counts: for each n two columns, the share of event rows among the
    n rows before, and among the n rows after, the row.
    """

    events: tuple[str, ...]
    outputs: tuple[str, ...] = ("since", "to")
    counts: tuple[int, ...] = ()
    cap: int = 14

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.events"
        choose(f"{where}.outputs", "output", self.outputs, OUTPUTS)
        positive(where, "counts", self.counts)
        positive(where, "cap", (self.cap,))
        titles: list[str] = []
        for event in self.events:
            event_rows(competition, panel, event, f"{where}.events")
            titles += [f"{event}.{output}" for output in self.outputs]
            titles += [f"{event}.share_{side}_{rows}" for rows in self.counts for side in ("before", "after")]
        return tuple(Column(title, scaled=False) for title in titles)

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        offsets = panel.offsets
        for event in self.events:
            happens = event_rows(competition, panel, event, "features.events.events")
            number = happens.astype(np.float32)
            for output in self.outputs:
                yield self._capped(_rows(output, happens, number, offsets))
            for rows in self.counts:
                yield (window_sum(number, offsets, rows, 0) - number) / rows
                yield (window_sum(number, offsets, 0, rows) - number) / rows

    def _capped(self, rows: np.ndarray) -> np.ndarray:
        """-1 (never) and everything beyond `cap` become 1."""
        return np.where(rows < 0, 1.0, np.minimum(rows, self.cap) / self.cap)

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        names = [*competition.columns.known_real, *competition.columns.known_categorical]
        if not names:
            return None
        return {"events": [names[0], f"{names[-1]}!=0"], "outputs": list(OUTPUTS), "counts": [3], "cap": 5}


def _rows(output: str, happens: np.ndarray, number: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    if output == "since":
        return rows_since(happens, offsets)
    if output == "to":
        return rows_until(happens, offsets)
    begins = number != shift(number, offsets, 1, np.nan)  # true on the first row of a series too
    elapsed = rows_since(begins, offsets)
    if output == "elapsed":
        return elapsed
    ends = number != shift(number, offsets, -1, np.nan)
    return np.where(happens, elapsed + rows_until(ends, offsets) + 1, 0)


def event_rows(competition: Competition, panel: Panel, event: str, where: str) -> np.ndarray:
    """(R,) bool: rows where `event` ("column", "column=a|b" or "column!=a|b") happens; missing is no."""
    parsed = re.fullmatch(r"\s*(.+?)\s*(?:(!?=)=?\s*(.*?)\s*)?", event)
    if parsed is None:
        raise InputError(f"{where}: found {event!r}, expected 'column', 'column=a|b' or 'column!=a|b'")
    name, comparison, listed = parsed.groups()
    known_inputs(competition, panel, (name,), where)
    if is_category(panel, name):
        code, size = codes(panel, name)
        labels = [str(label) for label in panel.categories[name]]
        wanted = [] if listed is None else [part.strip() for part in listed.split("|")]
        for label in wanted:
            if comparison == "=" and label not in labels:
                raise unknown(f"value of {name}", label, labels, where)
        if listed is None:
            chosen = [label.strip().lower() not in NO_EVENT for label in labels]
        else:
            chosen = [(label in wanted) == (comparison == "=") for label in labels]
        table = np.zeros(size, dtype=bool)
        table[1:] = chosen
        return table[code]
    value = numbers(panel, name, where)
    if listed is None:
        return ~np.isnan(value) & (value != 0)
    try:
        among = np.isin(value, [float(part) for part in listed.split("|")])
    except ValueError:
        raise InputError(f"{where}: column {name!r} is real, found {listed!r}, expected numbers") from None
    return ~np.isnan(value) & (among == (comparison == "="))
