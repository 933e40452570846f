"""What every registered feature family promises, on a toy panel of either task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from features.base import FEATURES, Feature
from features.build import build_features
from tests.panels import make_panel, past_altered, reordered

TASKS = ("sequence", "horizon")
CASES = [
    (name, task)
    for name, family in FEATURES.items()
    for task in TASKS
    if family.small(make_panel(task)[0]) is not None
]
STATELESS = [case for case in CASES if not FEATURES.get(case[0]).fitted]
FITTED = [case for case in CASES if FEATURES.get(case[0]).fitted]


def made(name: str, competition: Competition, panel: Panel) -> Feature:
    small = FEATURES.get(name).small(competition)
    assert small is not None
    return build_features(competition, panel, {name: small})[0][1]


def values(name: str, competition: Competition, panel: Panel, train: np.ndarray | None = None) -> np.ndarray:
    """The family's columns; a fitted one is fitted on `train`, or on all rows that are not test rows."""
    feature = made(name, competition, panel)
    parameters = None
    if feature.fitted:
        parameters = feature.fit(competition, panel, ~panel.test if train is None else train)
    return feature.transform(competition, panel, parameters)


def test_every_family_is_tested_on_some_task() -> None:
    assert {name for name, _ in CASES} == set(FEATURES.names())


@pytest.mark.parametrize("name", FEATURES.names())
@pytest.mark.parametrize("task", TASKS)
def test_a_family_that_has_no_small_settings_refuses_the_task(name: str, task: str) -> None:
    competition, panel = make_panel(task)
    if FEATURES.get(name).small(competition) is not None:
        return
    other, _ = make_panel(TASKS[1 - TASKS.index(task)])
    small = FEATURES.get(name).small(other)
    with pytest.raises(InputError):
        build_features(competition, panel, {name: small})


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("equal", [False, True])
def test_columns_describe_what_transform_makes(name: str, task: str, equal: bool) -> None:
    competition, panel = make_panel(task, equal=equal)
    columns = made(name, competition, panel).columns(competition, panel)
    found = values(name, competition, panel)
    assert found.shape == (panel.rows, len(columns))
    assert found.dtype == np.float32
    assert not np.isinf(found).any()
    assert len({column.name for column in columns}) == len(columns)
    for index, column in enumerate(columns):
        codes = found[:, index]
        if column.kind == "category":
            assert np.array_equal(codes, codes.astype(np.int64)), column
            assert codes.min() >= 0, column
            assert codes.max() < column.size, column
        else:
            assert np.isfinite(codes).any(), column
        if column.unit in ("level", "spread"):
            assert 0 <= column.target < len(panel.target_name)
        if not column.scaled:
            assert np.nanmax(np.abs(codes)) <= 1, column


@pytest.mark.parametrize(("name", "task"), CASES)
def test_same_input_same_output(name: str, task: str) -> None:
    competition, panel = make_panel(task)
    first = values(name, competition, panel)
    assert np.array_equal(first, values(name, competition, panel), equal_nan=True)
    out = np.full((panel.rows, first.shape[1]), -7.0, dtype=np.float32)
    feature = made(name, competition, panel)
    parameters = feature.fit(competition, panel, ~panel.test) if feature.fitted else None
    assert feature.transform(competition, panel, parameters, out=out) is out
    assert np.array_equal(first, out, equal_nan=True)


@pytest.mark.parametrize(("name", "task"), STATELESS)
def test_the_panel_is_left_as_it_was(name: str, task: str) -> None:
    competition, panel = make_panel(task)
    _, untouched = make_panel(task)
    values(name, competition, panel)
    assert panel.frame.equals(untouched.frame)
    assert panel.static.equals(untouched.static)
    assert np.array_equal(panel.target, untouched.target, equal_nan=True)
    assert np.array_equal(panel.time, untouched.time)


@pytest.mark.parametrize(("name", "task"), STATELESS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rows_keep_their_order_whatever_the_order_of_series(name: str, task: str, seed: int) -> None:
    competition, panel = make_panel(task, seed=seed)
    order = np.random.default_rng(seed).permutation(panel.series)
    changed, row = reordered(panel, order)
    before = values(name, competition, panel)
    assert np.array_equal(before[row], values(name, competition, changed), equal_nan=True)


@pytest.mark.parametrize(("name", "task"), STATELESS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), equal=st.booleans())
def test_no_series_hears_of_another(name: str, task: str, seed: int, equal: bool) -> None:
    """Everything that changes with time is altered in all series but one, whose columns stay to the bit."""
    competition, panel = make_panel(task, seed=seed, equal=equal)
    generator = np.random.default_rng(seed + 1)
    kept = int(generator.integers(panel.series))
    others = np.ones(panel.rows, dtype=bool)
    others[panel.offsets[kept] : panel.offsets[kept + 1]] = False
    altered = past_altered(competition, panel, others, seed)
    frame = altered.frame.copy()
    for column in competition.columns.known_real:
        frame.loc[others, column] = generator.normal(0.0, 1e3, int(others.sum()))
    for column in competition.columns.known_categorical:
        frame.loc[others, column] = generator.integers(0, 3, int(others.sum()), dtype=np.int32)
    before = values(name, competition, panel)
    after = values(name, competition, replace(altered, frame=frame))
    assert np.array_equal(before[~others], after[~others], equal_nan=True)


@pytest.mark.parametrize(("name", "task"), STATELESS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), where=st.floats(0, 1), equal=st.booleans())
def test_reach_holds(name: str, task: str, seed: int, where: float, equal: bool) -> None:
    """Altering past values from row u of a series on changes row t only where t - u >= reach."""
    competition, panel = make_panel(task, seed=seed, equal=equal)
    series = seed % panel.series
    first, end = panel.offsets[series], panel.offsets[series + 1]
    u = int(first + where * (end - 1 - first))
    rows = np.arange(panel.rows)
    altered = past_altered(competition, panel, (rows >= u) & (rows < end), seed)
    columns = made(name, competition, panel).columns(competition, panel)
    before, after = values(name, competition, panel), values(name, competition, altered)
    for index, column in enumerate(columns):
        same = (before[:, index] == after[:, index]) | (
            np.isnan(before[:, index]) & np.isnan(after[:, index])
        )
        may_change = np.zeros(panel.rows, dtype=bool)
        if column.reach is not None:
            may_change = (rows - u >= column.reach) & (rows < end)
        assert same[~may_change].all(), column


@pytest.mark.parametrize(("name", "task"), [case for case in STATELESS if case[1] == "horizon"])
def test_reach_is_the_smallest_lag(name: str, task: str) -> None:
    """A column that states a reach does read the row that lies so far back."""
    competition, panel = make_panel(task, seed=3, equal=True, missing=False, gaps=False)
    panel = replace(panel, weight=np.ones_like(panel.weight))
    feature = made(name, competition, panel)
    columns = feature.columns(competition, panel)
    unheard = {index: column for index, column in enumerate(columns) if column.reach is not None}
    before = feature.transform(competition, panel)
    for u in np.flatnonzero(~panel.test):
        if not unheard:
            return
        target = panel.target.copy()
        target[u] += 1e6
        frame = panel.frame.copy()
        frame.loc[u, competition.columns.past_real] += 1e6
        after = feature.transform(competition, replace(panel, target=target, frame=frame))
        for index, column in list(unheard.items()):
            assert column.reach is not None
            t = u + column.reach
            if t < panel.rows and before[t, index] != after[t, index]:
                del unheard[index]
    assert not unheard, f"never read so far back: {unheard}"


@pytest.mark.parametrize(("name", "task"), FITTED)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_fitted_family_never_sees_validation_rows(name: str, task: str, seed: int) -> None:
    competition, panel = make_panel(task, seed=seed)
    owner = panel.series_of_row()
    train = ~panel.test & (owner % 2 == seed % 2)
    altered = past_altered(competition, panel, ~train, seed)
    before = values(name, competition, panel, train)
    assert np.array_equal(before, values(name, competition, altered, train), equal_nan=True)
    assert np.isfinite(before).all()


@pytest.mark.parametrize(("name", "task"), FITTED)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_fitted_rows_do_not_contain_their_own_target(name: str, task: str, seed: int) -> None:
    competition, panel = make_panel(task, seed=seed)
    own = panel.series_of_row() == seed % int(panel.series * 2 / 3)
    altered = past_altered(competition, panel, own, seed)
    before, after = values(name, competition, panel), values(name, competition, altered)
    assert np.array_equal(before[own], after[own], equal_nan=True)
    assert not np.array_equal(before[~own], after[~own], equal_nan=True), "other rows do hear of it"


@pytest.mark.parametrize(("name", "task"), CASES)
def test_an_unknown_setting_names_the_nearest(name: str, task: str) -> None:
    competition, panel = make_panel(task)
    small = FEATURES.get(name).small(competition)
    assert small is not None
    with pytest.raises(InputError, match=r"unknown setting 'wrong_setting'"):
        build_features(competition, panel, {name: {**small, "wrong_setting": 1}})
