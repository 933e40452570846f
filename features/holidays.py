"""Public holidays of a country or of each series' own country and region (package `holidays`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import holidays as calendars
import numpy as np

from data.competition import Competition
from data.errors import InputError, unknown
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.calendar import dates
from features.reading import choose, codes, positive
from features.within_series import rows_since, rows_until

OUTPUTS = ("flag", "since", "to", "name")


@FEATURES.register("holidays")
@dataclass(frozen=True)
class Holidays(Feature):
    """flag   1 on a holiday
    since  days since the last one (0 on one), at most `cap`, divided by `cap`
    to     days to the next one, likewise; the law knows them beyond the end of the data
    name   which holiday it is, as a category; 0 off one, and on one whose name the panel fitted on lacks

    country: code of the package (DE, US); country_column: static column with the codes instead.
    subdivision, subdivision_column: region (BY), likewise. rename: column's value -> the package's code;
    a value that stays unknown is refused, a missing one is the whole country (or no holidays at all).
    """

    country: str | None = None
    subdivision: str | None = None
    country_column: str | None = None
    subdivision_column: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("flag", "since", "to")
    cap: int = 14

    def columns(self, competition: Competition, panel: Panel) -> tuple[Column, ...]:
        where = "features.holidays"
        choose(f"{where}.outputs", "output", self.outputs, OUTPUTS)
        positive(where, "cap", (self.cap,))
        dates(panel, where)
        names = self._tables(panel)[3]  # whether or not they are asked for: regions are checked on the way
        return tuple(
            Column("holiday.name", "category", size=len(names) + 1)
            if output == "name"
            else Column(f"holiday.{output}", scaled=False)
            for output in self.outputs
        )

    def reference(self, competition: Competition, panel: Panel) -> dict[str, np.ndarray]:
        """name (N,) str: those of the holidays in code order, where a column says which it is."""
        return {"name": np.array(self._tables(panel)[3], dtype=str)} if "name" in self.outputs else {}

    def values(
        self, competition: Competition, panel: Panel, parameters: dict[str, np.ndarray]
    ) -> Iterator[np.ndarray]:
        region, first_day, code, names = self._tables(panel)
        on_row = np.repeat(region, np.diff(panel.offsets))
        day = _days(panel) - first_day
        borders = np.arange(len(code) + 1) * code.shape[1]
        happens = (code > 0).reshape(-1)
        for output in self.outputs:
            if output == "flag":
                yield (code > 0)[on_row, day]
                continue
            if output == "name":
                known = {name: number for number, name in enumerate(parameters["name"].tolist(), start=1)}
                yield np.array([0, *(known.get(name, 0) for name in names)])[code][on_row, day]
                continue
            rows = (rows_since if output == "since" else rows_until)(happens, borders)
            capped = np.where(rows < 0, self.cap, np.minimum(rows, self.cap)) / self.cap
            yield capped.reshape(code.shape)[on_row, day]

    def _tables(self, panel: Panel) -> tuple[np.ndarray, int, np.ndarray, list[str]]:
        """(S,) region of each series, first day, (regions, days) code of the holiday or 0, their names."""
        day = _days(panel)
        first = int(day.min(initial=0 if not len(day) else day[0])) - self.cap
        last = int(day.max(initial=0 if not len(day) else day[0])) + self.cap
        years = range(_year(first), _year(last) + 1)
        pairs = self._regions(panel)
        distinct = sorted(set(pairs))
        found = [_calendar(country, subdivision, years) for country, subdivision in distinct]
        names = sorted({name for region in found for name in region.values()})
        number = {name: index + 1 for index, name in enumerate(names)}
        code = np.zeros((len(distinct), last - first + 1), dtype=np.int64)
        for row, region in zip(code, found, strict=True):
            for date, name in region.items():
                if first <= date <= last:
                    row[date - first] = number[name]
        return np.array([distinct.index(pair) for pair in pairs], dtype=np.int64), first, code, names

    def _regions(self, panel: Panel) -> list[tuple[str, str]]:
        """(country, subdivision) of each series; '' where there is none."""
        where = "features.holidays"
        countries = self._constant_or_column(panel, "country", self.country, self.country_column)
        subdivisions = self._constant_or_column(
            panel, "subdivision", self.subdivision, self.subdivision_column
        )
        if self.country is None and self.country_column is None:
            raise InputError(f"{where}: found neither country nor country_column, expected one of them")
        supported = calendars.list_supported_countries(include_aliases=True)
        for country, subdivision in sorted(set(zip(countries, subdivisions, strict=True))):
            if country and country not in supported:
                raise unknown("country", country, supported, where)
            if country and subdivision and subdivision not in supported[country]:
                raise unknown(f"subdivision of {country}", subdivision, supported[country], f"{where}.rename")
        return list(zip(countries, subdivisions, strict=True))

    def _constant_or_column(
        self, panel: Panel, setting: str, constant: str | None, column: str | None
    ) -> list[str]:
        where = f"features.holidays.{setting}_column"
        if column is None:
            return [constant or ""] * panel.series
        if constant is not None:
            raise InputError(f"{where}: found {setting} and {setting}_column, expected one of them")
        if column not in panel.static:
            raise unknown("static column", column, panel.static.columns, where)
        codes(panel, column, where)
        labels = ["", *(self.rename.get(str(label), str(label)) for label in panel.categories[column])]
        return [labels[code] for code in panel.static[column].to_numpy(dtype=np.int64)]

    @classmethod
    def small(cls, competition: Competition) -> dict[str, Any] | None:
        if competition.frequency is None:
            return None
        return {"country": "DE", "subdivision": "BY", "outputs": list(OUTPUTS), "cap": 5}


def _days(panel: Panel) -> np.ndarray:
    """(R,) int64 days since 1970-01-01."""
    return np.asarray(dates(panel, "features.holidays").values).astype("datetime64[D]").astype(np.int64)


def _year(day: int) -> int:
    return int(np.datetime64(day, "D").astype("datetime64[Y]").astype(np.int64)) + 1970


def _calendar(country: str, subdivision: str, years: range) -> dict[int, str]:
    """Day since 1970-01-01: name of the holiday, in the package's own language for the country."""
    if not country:
        return {}
    listed = calendars.country_holidays(country, subdiv=subdivision or None, years=years)
    return {int(np.datetime64(date, "D").astype(np.int64)): str(name) for date, name in listed.items()}
