"""Numbers of each family, worked out by hand or by brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.competition import Columns, Competition
from data.errors import InputError
from data.panel import Panel
from features.build import build_features, transform_all
from tests.panels import make_panel


def small_panel(
    task: str = "sequence", lengths: tuple[int, ...] = (4, 3), **columns: Any
) -> tuple[Competition, Panel]:
    """Series of `lengths` with known reals `columns` (target: the column called y, counted in full)."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = int(offsets[-1])
    target = np.array(columns.pop("y", np.zeros(rows)), dtype=float)[:, None]
    position = np.concatenate([np.arange(length) for length in lengths])
    panel = Panel(
        offsets=offsets,
        series_name=np.arange(len(lengths)).astype(str),
        time=position.astype(np.int64),
        timestamp=None
        if task == "sequence"
        else np.datetime64("2024-01-01", "ns") + position.astype("m8[D]"),
        frame=pd.DataFrame({name: np.array(values, dtype=float) for name, values in columns.items()}),
        static=pd.DataFrame({"R": np.arange(len(lengths)) % 2 + 1, "C": np.ones(len(lengths), dtype=int)}),
        categories={"R": ["5", "20"], "C": ["10"]},
        target=target,
        target_name=("y",),
        weight=np.ones(rows, dtype=np.float32),
        present=np.ones(rows, dtype=bool),
        test=np.zeros(rows, dtype=bool),
        official_id=np.full(rows, ""),
    )
    roles = Columns(known_real=list(columns), static_categorical=["R", "C"])
    frequency = None if task == "sequence" else "D"
    return Competition(task=task, target=["y"], columns=roles, frequency=frequency), panel


def table(competition: Competition, panel: Panel, name: str, **settings: Any) -> pd.DataFrame:
    features = build_features(competition, panel, {name: settings})
    columns, values = transform_all(competition, panel, features)
    return pd.DataFrame(values, columns=[column.name for column in columns])


def test_the_integral_uses_the_true_time() -> None:
    competition, panel = small_panel(u=[2, 4, 6, 8, 1, 1, 1], t=[0, 1, 3, 4, 5, 6, 8])
    found = table(
        competition, panel, "cumulative", inputs=["u"], outputs=["sum", "integral", "trapezoid"], time="t"
    )
    assert found["u.cumulative_sum"].tolist() == [2, 6, 12, 20, 1, 2, 3]
    assert found["u.cumulative_integral"].tolist() == [0, 4, 16, 24, 0, 1, 3]
    assert found["u.cumulative_trapezoid"].tolist() == [0, 3, 13, 20, 0, 1, 3]


def test_shift_and_difference() -> None:
    competition, panel = small_panel(u=[1, 2, 4, 8, 16, 32, 64])
    shifted = table(competition, panel, "shift", lags=[1], leads=[2])
    assert shifted["u.lag_1"].tolist() == [0, 1, 2, 4, 0, 16, 32]
    assert shifted["u.lead_2"].tolist() == [4, 8, 0, 0, 64, 0, 0]
    found = table(competition, panel, "difference", lags=[2], leads=[1], orders=[2], fill=None)
    np.testing.assert_array_equal(found["u.difference_2"], [np.nan, np.nan, 3, 6, np.nan, np.nan, 48])
    np.testing.assert_array_equal(found["u.difference_ahead_1"], [-1, -2, -4, np.nan, -16, -32, np.nan])
    np.testing.assert_array_equal(found["u.difference_order_2"], [np.nan, np.nan, 1, 2, np.nan, np.nan, 16])


def test_a_missing_value_inside_a_series_stays_missing_where_the_border_is_filled() -> None:
    competition, panel = small_panel(u=[1, np.nan, 4, 8, 16, 32, 64])
    found = table(competition, panel, "difference", lags=[1])
    np.testing.assert_array_equal(found["u.difference_1"], [0, np.nan, np.nan, 4, 0, 16, 32])


def test_expanding_and_the_whole_group() -> None:
    competition, panel = small_panel(u=[1, 3, 2, 6, 5, 1, 3])
    found = table(
        competition, panel, "expanding", so_far=["max", "mean"], whole=["max"], whole_minus=["mean"]
    )
    assert found["u.so_far_max"].tolist() == [1, 3, 3, 6, 5, 5, 5]
    assert found["u.so_far_mean"].tolist() == [1, 2, 2, 3, 5, 3, 3]
    assert found["u.whole_max"].tolist() == [6, 6, 6, 6, 5, 5, 5]
    assert found["u.whole_mean_minus"].tolist() == [2, 0, 1, -3, -2, 2, 0]


def test_rolling_known_centred() -> None:
    competition, panel = small_panel(u=[1, 3, 2, 6, 5, 1, 3])
    found = table(competition, panel, "rolling_known", windows=[3], statistics=["mean", "max"], centred=True)
    np.testing.assert_allclose(found["u.centred_mean_3"], [2, 2, 11 / 3, 4, 3, 3, 2])
    assert found["u.centred_max_3"].tolist() == [3, 3, 6, 6, 5, 5, 3]


@pytest.mark.parametrize("half_life", [0.5, 3.0])
def test_ewm_is_pandas_s(half_life: float) -> None:
    competition, panel = small_panel(u=[np.nan, 3, np.nan, 6, 5, 1, 3])
    found = table(competition, panel, "ewm", half_lives=[half_life])
    values = panel.frame["u"].groupby(panel.series_of_row()).ewm(halflife=half_life).mean()
    np.testing.assert_allclose(found[f"u.ewm_{half_life:g}"], values, rtol=1e-6)


def test_values_at_certain_rows() -> None:
    competition, panel = small_panel(u=[1, 3, 2, 6, 5, 1, 4])
    found = table(competition, panel, "at_row", rows=[0, 3, -1])
    assert found["u.at_row_0"].tolist() == [1] * 4 + [5] * 3
    np.testing.assert_array_equal(found["u.at_row_3"], [6] * 4 + [np.nan] * 3)
    assert found["u.at_row_-1"].tolist() == [6] * 4 + [4] * 3


def test_since_switch() -> None:
    competition, panel = small_panel(u=[0, 1, 1, 0, 1, 1, 1], t=[0, 2, 3, 7, 1, 2, 4])
    found = table(competition, panel, "since_switch", inputs=["u"], time="t")
    assert found["u.rows_since_switch"].tolist() == [0, 0, 1, 0, 0, 1, 2]
    assert found["u.time_since_switch"].tolist() == [0, 0, 1, 0, 0, 1, 3]


def test_cross_as_category_and_one_hot() -> None:
    competition, panel = make_panel("sequence")
    crossed = table(competition, panel, "cross", crosses=[["resistance", "promotion"]])
    owner = panel.series_of_row()
    resistance = panel.static["resistance"].to_numpy()[owner]
    promotion = panel.frame["promotion"].to_numpy()
    expected = np.where((resistance == 0) | (promotion == 0), 0, (resistance - 1) * 2 + promotion)
    assert np.array_equal(crossed.iloc[:, 0], expected)
    one_hot = table(competition, panel, "cross", crosses=[["resistance", "promotion"]], one_hot=True)
    assert list(one_hot)[:3] == [f"resistance_x_promotion={label}" for label in ("5_0", "5_1", "20_0")]
    assert np.array_equal(one_hot.sum(axis=1), (expected > 0).astype(float))
    assert np.array_equal(one_hot["resistance_x_promotion=20_0"], (expected == 3).astype(float))


def test_calendar_parts_follow_the_frequency() -> None:
    competition, panel = small_panel("horizon", (400,), u=np.zeros(400))
    found = table(competition, panel, "calendar")
    assert "calendar.day_of_week" in found
    assert "calendar.hour" not in found
    assert found["calendar.day_of_week"].tolist()[:8] == pytest.approx(
        [-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1, -1]
    )
    assert found["calendar.year"].tolist()[364:367] == [0, 0, 1]  # 2024 is a leap year
    hourly = replace(panel, timestamp=np.datetime64("2024-01-01", "ns") + np.arange(400).astype("m8[h]"))
    category = table(competition, hourly, "calendar", parts=["hour"], category=True)
    assert category["calendar.hour.category"].tolist()[:26] == [*range(1, 25), 1, 2]
    assert "calendar.minute" not in table(competition, hourly, "calendar")


def test_holidays_of_each_series_own_region() -> None:
    competition, panel = make_panel("horizon", series=4, missing=False)
    settings = {
        "country": "DE",
        "subdivision_column": "region",
        "outputs": ["flag", "since", "to", "name"],
        "cap": 5,
    }
    panel.static["region"] = [1, 2, 1, 2]  # BY keeps Epiphany, NW does not
    found = table(competition, panel, "holidays", **settings)
    day = pd.DatetimeIndex(panel.timestamp).strftime("%m-%d")
    bavaria = panel.static["region"].to_numpy()[panel.series_of_row()] == 1
    assert found["holiday.flag"][(day == "01-06") & bavaria].eq(1).all()
    assert found["holiday.flag"][(day == "01-06") & ~bavaria].eq(0).all()
    assert found["holiday.flag"][day == "12-25"].eq(1).all()
    assert found["holiday.to"][day == "12-24"].to_numpy() == pytest.approx(1 / 5)
    assert found["holiday.to"][day == "12-31"].to_numpy() == pytest.approx(1 / 5)
    assert found["holiday.since"][day == "12-28"].to_numpy() == pytest.approx(2 / 5)
    assert found["holiday.name"][day == "12-25"].nunique() == 1
    assert found["holiday.flag"].eq((found["holiday.name"] > 0).astype(float)).all()


def test_an_unknown_region_names_the_nearest() -> None:
    competition, panel = make_panel("horizon")
    panel.categories["region"] = ["BY", "HB,NI"]
    settings = {"country": "DE", "subdivision_column": "region"}
    with pytest.raises(InputError, match="unknown subdivision of DE 'HB,NI'"):
        build_features(competition, panel, {"holidays": settings})
    build_features(competition, panel, {"holidays": {**settings, "rename": {"HB,NI": "NI"}}})
    with pytest.raises(InputError, match=r"unknown country 'Germny'; .*"):
        build_features(competition, panel, {"holidays": {"country": "Germny"}})


def test_fourier_terms_turn_once_a_period() -> None:
    competition, panel = small_panel("horizon", (20, 9), u=np.zeros(29))
    found = table(competition, panel, "fourier", periods=[8, "weekly"], order=4)
    np.testing.assert_allclose(found["fourier.8.cos_1"], np.cos(2 * np.pi * panel.time / 8), atol=1e-6)
    assert "fourier.8.cos_4" in found
    assert "fourier.8.sin_4" not in found  # zero everywhere
    weekly = found["fourier.weekly.sin_1"]
    np.testing.assert_allclose(weekly[7:14].to_numpy(), weekly[:7].to_numpy(), atol=1e-6)


def test_events() -> None:
    competition, panel = small_panel(lengths=(6, 4), promo=[0, 1, 1, 0, 0, 0, 0, 0, 0, 1])
    found = table(
        competition,
        panel,
        "events",
        events=["promo"],
        outputs=["since", "to", "elapsed", "length"],
        counts=[2],
        cap=4,
    )
    assert (found["promo.since"] * 4).tolist() == [4, 0, 0, 1, 2, 3, 4, 4, 4, 0]
    assert (found["promo.to"] * 4).tolist() == [1, 0, 0, 4, 4, 4, 3, 2, 1, 0]
    assert (found["promo.elapsed"] * 4).tolist() == [0, 0, 1, 0, 1, 2, 0, 1, 2, 0]
    assert (found["promo.length"] * 4).tolist() == [0, 2, 2, 0, 0, 0, 0, 0, 0, 1]
    assert (found["promo.share_before_2"] * 2).tolist() == [0, 0, 1, 2, 1, 0, 0, 0, 0, 0]
    assert (found["promo.share_after_2"] * 2).tolist() == [2, 1, 0, 0, 0, 0, 0, 1, 1, 0]


def test_events_of_categories_and_comparisons() -> None:
    competition, panel = make_panel("horizon")
    code = panel.frame["holiday"].to_numpy()
    for event, expected in {
        "holiday": code > 1,
        "holiday=a": code == 2,
        "holiday = a|b": code >= 2,
        "holiday!=a": (code > 0) & (code != 2),
        "valve=0": panel.frame["valve"].to_numpy() == 0,
    }.items():
        found = table(competition, panel, "events", events=[event], outputs=["since"])
        assert np.array_equal(found.iloc[:, 0] == 0, expected), event
    with pytest.raises(InputError, match="unknown value of holiday 'c'"):
        table(competition, panel, "events", events=["holiday=c"])


def test_lags_are_in_transformed_units_and_leave_out_what_is_not_judged() -> None:
    competition, panel = small_panel("horizon", (5, 2), y=[0, 1, 2, 3, 4, 5, 6])
    competition.target_transform = "log1p"
    panel.weight[2] = 0
    found = table(competition, panel, "lags", lags=[1])
    np.testing.assert_allclose(found["y.lag_1"], np.log([np.nan, 1, 2, np.nan, 4, np.nan, 6]), rtol=1e-6)
    kept = table(competition, panel, "lags", lags=[1], counted=False)
    np.testing.assert_allclose(kept["y.lag_1"], np.log([np.nan, 1, 2, 3, 4, np.nan, 6]), rtol=1e-6)


def test_lags_by_default_are_whole_seasons_beyond_the_horizon() -> None:
    competition, panel = make_panel("horizon", gaps=False)
    features = build_features(competition, panel, {"lags": {"inputs": ["sales"]}})
    assert [column.reach for column in features[0][1].columns(competition, panel)] == [7, 14]
    competition.horizon = None  # then the test rows tell it
    assert [column.reach for column in features[0][1].columns(competition, panel)] == [7, 14]
    competition.seasonality = []
    assert [column.reach for column in features[0][1].columns(competition, panel)] == [5]


def test_seasonal_and_growth() -> None:
    competition, panel = small_panel("horizon", (12,), y=np.arange(12) ** 2)
    found = table(competition, panel, "seasonal", seasons=[3], rounds=2, lag=2)
    expected = [np.nan] * 3 + [0, 1, 4] + [((t - 3) ** 2 + (t - 6) ** 2) / 2 for t in range(6, 12)]
    np.testing.assert_allclose(found["y.seasonal_mean_3x2_lag_3"], expected)
    grown = table(competition, panel, "growth", windows=[2], season=4, lag=1)
    recent, before = (10**2 + 9**2) / 2, (6**2 + 5**2) / 2
    assert grown["y.growth_2_over_4_lag_1"].to_numpy()[11] == pytest.approx(recent - before)


@pytest.mark.parametrize("last", [None, 3])
@pytest.mark.parametrize("statistic", ["mean", "median", "std"])
def test_keyed_history_is_what_a_search_finds(statistic: str, last: int | None) -> None:
    competition, panel = make_panel("horizon", seed=5)
    lag, keys = 4, ["promotion", "holiday"]
    found = table(
        competition,
        panel,
        "keyed_history",
        keys=keys,
        statistics=[statistic],
        lag=lag,
        last=last,
        inputs=["sales"],
    ).iloc[:, 0]
    owner = panel.series_of_row()
    value = np.where(panel.weight > 0, np.log1p(panel.target[:, 0]), np.nan)
    key = panel.frame[keys].to_numpy()
    expected = np.full(panel.rows, np.nan)
    for t in range(panel.rows):
        alike = (owner == owner[t]) & (key == key[t]).all(axis=1) & (np.arange(panel.rows) <= t - lag)
        history = value[alike & np.isfinite(value)]
        history = history if last is None else history[-last:]
        if len(history):
            expected[t] = getattr(np, statistic)(history)
    assert np.isfinite(expected).sum() > 20
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_keyed_history_by_date_part_and_without_keys() -> None:
    competition, panel = small_panel("horizon", (21,), y=np.arange(21))
    weekday = table(competition, panel, "keyed_history", keys=["day_of_week"], statistics=["mean"], lag=1)
    assert weekday["y.mean_by_day_of_week_lag_1"].to_numpy()[14:] == pytest.approx(np.arange(14, 21) - 10.5)
    series = table(competition, panel, "keyed_history", keys=[], statistics=["median"], lag=1, least=2)
    np.testing.assert_array_equal(series.iloc[:4, 0], [np.nan, np.nan, 0.5, 1])


def test_target_encoding_by_hand() -> None:
    competition, panel = small_panel("sequence", (2, 2, 2, 2), y=[1, 3, 2, 2, 5, 7, 0, 0], u=np.zeros(8))
    settings = {"keys": ["R"], "smoothing": 2.0, "folds": 2, "seed": 0}
    ((_, feature),) = build_features(competition, panel, {"target_encoding": settings})
    train = np.repeat([True, True, True, False], 2)  # R of the series: 5, 20, 5, 20
    parameters = feature.fit(competition, panel, train)
    found = feature.transform(competition, panel, parameters)[:, 0]
    everything = 20 / 6
    assert found[6:] == pytest.approx((4 + 2 * everything) / (2 + 2))  # unseen series with R=20
    part = parameters["part"]
    for series in range(3):
        others = [other for other in range(3) if part[other] != part[series]]
        alike = [other for other in others if other % 2 == series % 2]
        prior = panel.target[np.isin(panel.series_of_row(), others)].mean()
        own = panel.target[np.isin(panel.series_of_row(), alike)]
        assert found[2 * series] == pytest.approx((own.sum() + 2 * prior) / (len(own) + 2))
