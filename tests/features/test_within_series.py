"""Operations inside series, against pandas groupby on series of unequal length."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rolling_statistics import median_of_last_axis, rolling, window_sum
from features.within_series import (
    cumulative_maximum,
    cumulative_minimum,
    cumulative_sum,
    first_value,
    position,
    rows_since,
    rows_until,
    runs,
    shift,
    whole_series,
)

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=8)


def flat(
    lengths: list[int], seed: int, missing: float = 0.2
) -> tuple[np.ndarray, np.ndarray, pd.Series, np.ndarray]:
    """Values with gaps, offsets, the same as a pandas Series, and the series of each row."""
    generator = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = generator.normal(size=int(offsets[-1]))
    values[generator.random(len(values)) < missing] = np.nan
    return values, offsets, pd.Series(values), np.repeat(np.arange(len(lengths)), lengths)


@given(lengths=LENGTHS, steps=st.integers(-11, 11), seed=st.integers(0, 99))
def test_shift(lengths: list[int], steps: int, seed: int) -> None:
    values, offsets, series, owner = flat(lengths, seed)
    expected = series.groupby(owner).shift(steps).to_numpy()
    assert np.array_equal(shift(values, offsets, steps, np.nan), expected, equal_nan=True)


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_cumulative(lengths: list[int], seed: int) -> None:
    values, offsets, series, owner = flat(lengths, seed)
    filled = series.fillna(0.0).groupby(owner)
    np.testing.assert_allclose(cumulative_sum(values, offsets), filled.cumsum().to_numpy(), atol=1e-12)
    expanding = series.groupby(owner).expanding()
    if len(values):
        np.testing.assert_array_equal(cumulative_maximum(values, offsets), expanding.max().to_numpy())
        np.testing.assert_array_equal(cumulative_minimum(values, offsets), expanding.min().to_numpy())


@given(lengths=LENGTHS, seed=st.integers(0, 99), missing=st.sampled_from([0.0, 0.3]))
@pytest.mark.parametrize("statistic", ["mean", "max", "min", "std"])
def test_whole_series(statistic: str, lengths: list[int], seed: int, missing: float) -> None:
    values, offsets, series, owner = flat(lengths, seed, missing)
    groups = series.groupby(owner)
    expected = groups.std(ddof=0) if statistic == "std" else groups.agg(statistic)
    expected = expected.reindex(range(len(lengths))).to_numpy(dtype=float)
    np.testing.assert_allclose(whole_series(values, offsets, statistic), expected, atol=1e-12)


@settings(deadline=None)
@given(lengths=LENGTHS, before=st.integers(0, 10), after=st.integers(0, 10), seed=st.integers(0, 99))
@pytest.mark.parametrize("statistic", ["mean", "std", "min", "max", "median"])
def test_rolling_is_the_statistic_of_the_rows_it_says(
    statistic: str, lengths: list[int], before: int, after: int, seed: int
) -> None:
    values, offsets, _, owner = flat(lengths, seed)
    if statistic == "median":
        after = 0
    function = getattr(np, f"nan{statistic}")
    expected = np.full(len(values), np.nan)
    for row in range(len(values)):
        first = max(offsets[owner[row]], row - before)
        window = values[first : min(offsets[owner[row] + 1], row + after + 1)]
        if not np.isnan(window).all():
            expected[row] = function(window)
    np.testing.assert_allclose(rolling(values, offsets, statistic, before, after), expected, atol=1e-7)
    counts = window_sum((~np.isnan(values)).astype(float), offsets, before, after)
    sparse = rolling(values, offsets, statistic, before, after, least=3)
    assert np.array_equal(np.isnan(sparse), counts < 3)


def test_ewm_halves_every_half_window() -> None:
    values = np.array([1.0, 0.0, 0.0, 0.0, 5.0, 1.0])
    found = rolling(values, np.array([0, 4, 6]), "ewm", 1)  # window 2: halves every row
    np.testing.assert_allclose(found, [1, 1 / 3, 1 / 7, 1 / 15, 5, (5 / 2 + 1) / 1.5])


def test_the_median_of_long_windows_goes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values, offsets, _, _ = flat([40, 40, 7, 40], 0)
    whole = rolling(values, offsets, "median", 12)
    monkeypatch.setattr("features.rolling_statistics.VALUES_AT_ONCE", 50)
    assert np.array_equal(rolling(values, offsets, "median", 12), whole, equal_nan=True)


def test_large_levels_keep_their_spread() -> None:
    values = 1e7 + np.tile([0.0, 1.0], 500)
    np.testing.assert_allclose(rolling(values, np.array([0, 1000]), "std", 9)[9:], 0.5, rtol=1e-6)


def test_median_without_any_value_is_missing() -> None:
    assert np.isnan(median_of_last_axis(np.full((2, 3), np.nan))).all()


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_events_of_other_series_do_not_count(lengths: list[int], seed: int) -> None:
    values, offsets, _, owner = flat(lengths, seed)
    event = values > 0.5
    since, until = rows_since(event, offsets), rows_until(event, offsets)
    for row in range(len(values)):
        own = np.flatnonzero(event & (owner == owner[row]))
        earlier, later = own[own <= row], own[own >= row]
        assert since[row] == (row - earlier[-1] if len(earlier) else -1)
        assert until[row] == (later[0] - row if len(later) else -1)


def test_runs_join_neighbours_of_equal_length() -> None:
    assert list(runs(np.array([0, 3, 6, 6, 8, 11]))) == [(0, 6, 3), (6, 8, 2), (8, 11, 3)]
    assert list(position(np.array([0, 2, 2, 5]))) == [0, 1, 0, 1, 2]


def test_first_value() -> None:
    values = np.array([np.nan, 2.0, np.nan, np.nan, 5.0])
    assert list(first_value(values, np.array([0, 2, 2, 4, 5]))) == [2.0, 0.0, 0.0, 5.0]
