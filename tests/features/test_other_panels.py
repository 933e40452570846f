"""Rows have the columns that they had in the panel fitted on, whatever other rows stand around them now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.competition import Columns, Competition
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES, Feature
from features.build import build_features
from pipeline.submitting.new_rows import recoded
from tests.contracts.test_all_features import CASES, made
from tests.panels import make_panel, reordered


def toy(task: str, seed: int) -> tuple[Competition, Panel]:
    """Twelve series, with categories of the columns that are there alone."""
    competition, panel = make_panel(task, seed=seed, series=12)
    there = {*panel.frame.columns, *panel.static.columns}
    categories = {name: texts for name, texts in panel.categories.items() if name in there}
    return competition, replace(panel, categories=categories)


def as_when_fitted(
    feature: Feature,
    competition: Competition,
    fitted: Panel,
    panel: Panel,
    parameters: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """The columns of `panel` as stage=predict makes them; parameters: of a fit."""
    if parameters is None:
        return feature.transform(competition, panel, feature.reference(competition, fitted))
    return feature.transform(competition, panel, feature.moved(parameters, panel.series_when_fitted()))


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_without_the_first_and_the_longest_series_the_others_stay(name: str, task: str, seed: int) -> None:
    """Other years, positions, times and distinct values are there then, and series have other numbers."""
    competition, fitted = toy(task, seed)
    start, length = fitted.time[fitted.offsets[:-1]], np.diff(fitted.offsets)
    kept = length < length.max()
    if task == "horizon":  # those that begin in 2021: twelve days after the earliest that may be
        kept &= start >= 12
        assert fitted.time.min() < 12
    other, row = reordered(fitted, np.flatnonzero(kept)[::-1])
    if task == "horizon":
        other = replace(other, time=other.time - other.time.min())
    panel = recoded(other, fitted)
    feature = made(name, competition, fitted)
    parameters = feature.fit(competition, fitted, ~fitted.test) if feature.fitted else None
    before = feature.transform(competition, fitted, parameters)
    after = as_when_fitted(feature, competition, fitted, panel, parameters)
    np.testing.assert_allclose(after, before[row], rtol=1e-5, atol=1e-6)


def dated(days: np.ndarray, **frame: np.ndarray) -> tuple[Competition, Panel]:
    """One series with a row on each of `days` (datetime64[D], one after the other)."""
    rows = len(days)
    panel = Panel(
        offsets=np.array([0, rows]),
        series_name=np.array(["one"], dtype=object),
        time=np.arange(rows),
        timestamp=days.astype("datetime64[ns]"),
        frame=pd.DataFrame(frame, index=range(rows)),
        static=pd.DataFrame({"region": [1]}),
        categories={"region": ["NY"]},
        target=np.arange(rows, dtype=float)[:, None],
        target_name=("y",),
        weight=np.ones(rows, dtype=np.float32),
        present=np.ones(rows, dtype=bool),
        test=np.zeros(rows, dtype=bool),
        official_id=np.full(rows, ""),
    )
    roles = Columns(static_categorical=["region"], known_real=list(frame))
    return Competition(task="horizon", target=["y"], columns=roles, frequency="D", horizon=3), panel


def days(first: str, end: str) -> np.ndarray:
    return np.arange(np.datetime64(first, "D"), np.datetime64(end, "D"))


@pytest.mark.parametrize("begins", ["2020-01-01", "2018-06-01"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("calendar", {}),
        ("calendar", {"category": True}),
        ("age", {"outputs": ["series", "logarithm", "calendar"]}),
        ("fourier", {"periods": [7, "yearly"]}),
        ("holidays", {"country": "US", "outputs": ["flag", "since", "to", "name"]}),
    ],
)
def test_a_history_that_begins_and_ends_at_other_days(
    name: str, settings: dict[str, Any], begins: str
) -> None:
    competition, fitted = dated(days("2019-01-01", "2021-01-01"))
    _, other = dated(days(begins, "2023-01-01"))
    panel = recoded(other, fitted, "D")
    feature = build_features(competition, fitted, {name: settings})[0][1]
    before = feature.transform(competition, fitted)
    after = as_when_fitted(feature, competition, fitted, panel)
    assert fitted.timestamp is not None
    assert panel.timestamp is not None
    _, old, new = np.intersect1d(fitted.timestamp, panel.timestamp, return_indices=True)
    assert len(old) > 300
    np.testing.assert_array_equal(after[new], before[old])
    assert np.isfinite(after).all()
    for index, column in enumerate(feature.columns(competition, fitted)):
        if column.kind == "category":
            assert 0 <= after[:, index].min() <= after[:, index].max() < column.size, column


def of_day(panel: Panel, day: str) -> int:
    assert panel.timestamp is not None
    return int(np.flatnonzero(panel.timestamp == np.datetime64(day))[0])


def test_years_and_holidays_that_were_not_there_are_missing() -> None:
    """Juneteenth is a holiday of the United States since 2021."""
    competition, fitted = dated(days("2019-01-01", "2020-12-01"))
    panel = recoded(dated(days("2020-01-01", "2023-01-01"))[1], fitted)
    years = build_features(competition, fitted, {"calendar": {"parts": ["year"], "category": True}})[0][1]
    assert years.columns(competition, fitted) == (Column("calendar.year.category", "category", size=3),)
    code = as_when_fitted(years, competition, fitted, panel)[:, 0]
    assert [code[of_day(panel, day)] for day in ("2020-07-01", "2021-07-01", "2022-07-01")] == [2, 0, 0]
    plain = build_features(competition, fitted, {"calendar": {"parts": ["year"]}})[0][1]
    number = as_when_fitted(plain, competition, fitted, panel)[:, 0]
    assert [number[of_day(panel, day)] for day in ("2020-07-01", "2021-07-01", "2022-07-01")] == [1, 2, 3]
    settings = {"country": "US", "outputs": ["flag", "name"]}
    holidays = build_features(competition, fitted, {"holidays": settings})[0][1]
    found = as_when_fitted(holidays, competition, fitted, panel)
    assert found[of_day(panel, "2021-06-19")].tolist() == [1, 0]
    independence = found[of_day(panel, "2021-07-04")].tolist()
    assert independence == found[of_day(panel, "2020-07-04")].tolist()
    assert independence[1] > 0


def test_time_goes_on_where_no_day_is_the_same() -> None:
    competition, fitted = dated(days("2019-01-01", "2020-01-01"))
    panel = recoded(dated(days("2021-01-01", "2021-03-01"))[1], fitted, "D")
    np.testing.assert_array_equal(panel.time, 731 + np.arange(59))  # 2020 is a leap year
    earlier = recoded(dated(days("2018-12-01", "2018-12-20"))[1], fitted, "D")
    np.testing.assert_array_equal(earlier.time, -31 + np.arange(19))
    age = build_features(competition, fitted, {"age": {"outputs": ["series", "calendar"]}})[0][1]
    np.testing.assert_array_equal(as_when_fitted(age, competition, fitted, panel)[0], [731, 731])


def test_the_age_of_a_newcomer_counts_from_its_own_start() -> None:
    competition, fitted = dated(days("2019-01-01", "2020-01-01"))
    stranger = replace(
        dated(days("2019-03-01", "2020-01-01"))[1], series_name=np.array(["two"], dtype=object)
    )
    panel = recoded(stranger, fitted, "D")
    age = build_features(competition, fitted, {"age": {"outputs": ["series", "calendar"]}})[0][1]
    assert as_when_fitted(age, competition, fitted, panel)[0].tolist() == [0, 59]


@pytest.mark.parametrize("keys", [["price"], ["price", "holiday"], ["holiday", "valve", "price"]])
@pytest.mark.parametrize("position", [False, True])
def test_target_encoding_knows_keys_by_their_values(keys: list[str], position: bool) -> None:
    """A real key with gaps, of which few values are left; values that nobody has seen have the prior."""
    competition, fitted = toy("sequence", 4)
    fitted.frame["price"] = fitted.frame["price"].round()
    feature = FEATURES.get("target_encoding")(keys=tuple(keys), position=position, folds=3)  # type: ignore[call-arg]
    parameters = feature.fit(competition, fitted, ~fitted.test)
    before = feature.transform(competition, fitted, parameters)
    other, row = reordered(fitted, np.array([11, 2, 5]))
    after = as_when_fitted(feature, competition, fitted, recoded(other, fitted), parameters)
    np.testing.assert_array_equal(after, before[row])
    unseen = replace(other, frame=other.frame.assign(price=1e6))
    strange = as_when_fitted(feature, competition, fitted, recoded(unseen, fitted), parameters)
    part = parameters["part"][[11, 2, 5]]
    prior = np.repeat(parameters["prior"][part], np.diff(other.offsets), axis=0)
    np.testing.assert_allclose(strange, prior, rtol=1e-6)


def test_target_encoding_by_the_year() -> None:
    """The new panel lacks the first year."""
    competition, fitted = toy("sequence", 4)
    first = 2015 + fitted.series_of_row() % 3
    fitted = replace(fitted, timestamp=(first - 1970).astype("datetime64[Y]").astype("datetime64[ns]"))
    feature = FEATURES.get("target_encoding")(keys=("year",), folds=3)  # type: ignore[call-arg]
    parameters = feature.fit(competition, fitted, ~fitted.test)
    before = feature.transform(competition, fitted, parameters)
    other, row = reordered(fitted, np.array([1, 2, 4, 5]))
    after = as_when_fitted(feature, competition, fitted, recoded(other, fitted), parameters)
    np.testing.assert_array_equal(after, before[row])
    assert len(np.unique(before[row])) > 1


def test_rows_of_another_panel_are_not_numbered_by_their_own() -> None:
    competition, fitted = dated(days("2019-01-01", "2020-01-01"))
    panel = recoded(fitted, fitted)
    feature = build_features(competition, fitted, {"age": {}})[0][1]
    with pytest.raises(AssertionError, match="by the reference of the fitted one"):
        feature.transform(competition, panel)
