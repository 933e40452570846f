"""Metrics: against scikit-learn, hand values and M4's published ones; what holds for all of them."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.metrics import LOSS_HINTS, METRICS, Metric, MetricTable, SeriesHistory, UndefinedScore, make_metric
from data.metrics.naive2 import is_seasonal, naive2, naive2_season, seasonal_indices
from tests.real_data import real_data

NAMED = [name for name in METRICS.names() if name != "python"]
PERFECT = dict.fromkeys(NAMED, 0.0) | {"r2": 1.0}


def random_table(
    seed: int, *, series: int = 5, horizon: int = 6, targets: int = 1, seasonality: int = 4
) -> MetricTable:
    """Positive seasonal series of unequal length; every series is forecast once, from its end."""
    random = np.random.default_rng(seed)
    past = [random.gamma(3.0, 5.0, (int(n), targets)) + 1 for n in random.integers(15, 40, series)]
    history = SeriesHistory.of(list(past), seasonality)
    truth = random.gamma(3.0, 5.0, (series * horizon, targets)) + 1
    prediction = truth * random.uniform(0.7, 1.3, truth.shape)
    quantiles = np.array([0.1, 0.5, 0.9])
    return MetricTable.of(
        truth,
        prediction,
        weight=random.choice([0.5, 1.0, 2.0], series * horizon),
        series=np.repeat(np.arange(series), horizon),
        step=np.tile(np.arange(1, horizon + 1), series),
        origin=np.repeat(history.offsets[1:], horizon),
        quantiles=quantiles,
        quantile_prediction=prediction[..., None] * (0.6 + quantiles * 0.8),
        history=history,
    )


def with_prediction(table: MetricTable, prediction: np.ndarray) -> MetricTable:
    """The same rows with another point prediction, which every quantile repeats."""
    return MetricTable(
        table.truth,
        prediction,
        table.weight,
        table.series,
        table.step,
        table.origin,
        table.quantiles,
        np.repeat(prediction[..., None], len(table.quantiles), axis=-1),
        table.history,
    )


# What holds for every registered metric --------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_registered_metric_states_what_it_is(name: str) -> None:
    metric = make_metric(name)
    assert metric.name == name
    assert metric.loss_hint in LOSS_HINTS
    assert METRICS.get(name).__doc__
    assert set(metric.columns) <= set(MetricTable.__dataclass_fields__)
    with pytest.raises(FrozenInstanceError):
        metric.anything = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("targets", [1, 2])
def test_perfect_prediction(name: str, targets: int) -> None:
    table = random_table(3, targets=targets)
    assert make_metric(name).score(with_prediction(table, table.truth)) == pytest.approx(
        PERFECT[name], abs=1e-12
    )


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), targets=st.integers(1, 2))
def test_row_order_changes_nothing(name: str, seed: int, targets: int) -> None:
    table = random_table(seed, targets=targets)
    order = np.random.default_rng(seed).permutation(len(table.truth))
    metric = make_metric(name)
    assert metric.score(table.take(order)) == pytest.approx(metric.score(table), rel=1e-10)


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_of_weight_zero_never_count(name: str, seed: int) -> None:
    """Garbage, even NaN, in rows of weight 0 scores like the table without those rows."""
    table = random_table(seed)
    unjudged = np.random.default_rng(seed).uniform(size=len(table.truth)) < 0.4
    unjudged[:2] = [True, False]
    blank = unjudged[:, None]
    assert table.quantile_prediction is not None
    spoilt = MetricTable(
        np.where(blank, np.nan, table.truth),
        np.where(blank, np.nan, table.prediction),
        np.where(unjudged, 0.0, table.weight),
        table.series,
        table.step,
        table.origin,
        table.quantiles,
        np.where(blank[..., None], np.inf, table.quantile_prediction),
        table.history,
    )
    metric = make_metric(name)
    assert metric.score(spoilt) == pytest.approx(metric.score(table.take(~unjudged)), rel=1e-12)


@pytest.mark.parametrize("name", NAMED)
def test_scale_free_is_as_stated(name: str) -> None:
    table = random_table(5)
    assert table.history is not None
    assert table.quantile_prediction is not None
    larger = MetricTable(
        table.truth * 10,
        table.prediction * 10,
        table.weight,
        table.series,
        table.step,
        table.origin,
        table.quantiles,
        table.quantile_prediction * 10,
        SeriesHistory(table.history.offsets, table.history.values * 10, table.history.seasonality),
    )
    metric = make_metric(name)
    same = metric.score(larger) == pytest.approx(metric.score(table), rel=1e-9)
    assert same == metric.scale_free


@pytest.mark.parametrize("name", NAMED)
def test_greater_is_better_is_as_stated(name: str) -> None:
    table = random_table(6)
    metric = make_metric(name)
    near = metric.score(with_prediction(table, table.truth * 1.05))
    far = metric.score(with_prediction(table, table.truth * 1.5))
    assert (near > far) == metric.greater_is_better


@pytest.mark.parametrize("name", NAMED)
def test_missing_prediction_of_a_judged_row_is_an_error(name: str) -> None:
    table = random_table(1)
    prediction = table.prediction.copy()
    prediction[7] = np.nan
    with pytest.raises(
        ValueError, match="prediction is not finite in 1 judged rows, the first at position 7"
    ):
        make_metric(name).score(with_prediction(table, prediction))


@pytest.mark.parametrize("name", NAMED)
def test_no_judged_row_has_no_score(name: str) -> None:
    table = random_table(1)
    nothing = table.take(np.zeros(len(table.truth), bool))
    with pytest.raises(UndefinedScore):
        make_metric(name).score(nothing)
    assert make_metric(name).score_by(nothing, nothing.step) == {}


@pytest.mark.parametrize("name", NAMED)
def test_no_row_from_the_origin_on_is_read(name: str) -> None:
    """History may hold the whole series: what lies from the origin on changes no score."""
    table = random_table(8)
    assert table.history is not None
    early = MetricTable(**{**vars(table), "origin": table.origin - 5})
    values = table.history.values.copy()
    for end in table.history.offsets[1:]:
        values[end - 5 : end] = 1e6
    history = SeriesHistory(table.history.offsets, values, table.history.seasonality)
    other = MetricTable(**{**vars(early), "history": history})
    assert make_metric(name).score(other) == make_metric(name).score(early)


# Values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mae", sklearn.metrics.mean_absolute_error),
        ("wmae", sklearn.metrics.mean_absolute_error),
        ("mse", sklearn.metrics.mean_squared_error),
        ("rmse", sklearn.metrics.root_mean_squared_error),
        ("rmsle", sklearn.metrics.root_mean_squared_log_error),
        ("mape", sklearn.metrics.mean_absolute_percentage_error),
        ("r2", sklearn.metrics.r2_score),
    ],
)
@pytest.mark.parametrize("targets", [1, 3])
def test_as_scikit_learn(name: str, function: Any, targets: int) -> None:
    table = random_table(2, targets=targets)
    expected = function(table.truth, table.prediction, sample_weight=table.weight)
    assert make_metric(name).score(table) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # truth 10, 20, 0; prediction 8, 25, 3; weights 1, 2, 1
        ("mae", (2 + 2 * 5 + 3) / 4),
        ("mse", (4 + 2 * 25 + 9) / 4),
        ("rmse", np.sqrt((4 + 2 * 25 + 9) / 4)),
        ("mape", (0.2 + 2 * 0.25) / 3),  # the row whose truth is 0 is left out
        ("rmspe", np.sqrt((0.04 + 2 * 0.0625) / 3)),
        ("smape", (200 * 2 / 18 + 2 * 200 * 5 / 45 + 200) / 4),
        ("rmsle", np.sqrt((np.log(11 / 9) ** 2 + 2 * np.log(26 / 21) ** 2 + np.log(4) ** 2) / 4)),
    ],
)
def test_hand_values(name: str, expected: float) -> None:
    table = MetricTable.of([10, 20, 0], [8, 25, 3], weight=[1, 2, 1])
    assert make_metric(name).score(table) == pytest.approx(expected)


def test_smape_of_zero_and_zero_is_zero() -> None:
    assert make_metric("smape").score(MetricTable.of([0, 10], [0, 30])) == pytest.approx(50.0)


def test_smape_counts_each_forecast_once_unless_by_rows() -> None:
    table = MetricTable.of([10, 10, 10, 10], [30, 30, 30, 10], series=[0, 0, 0, 1])  # 100, 100, 100 | 0
    assert make_metric("smape").score(table) == pytest.approx(50)
    assert make_metric("smape", {"average": "rows"}).score(table) == pytest.approx(75)
    # One judged row or three: the forecast counts the same. Twice the weight on a series: it counts twice.
    masked = MetricTable(**{**vars(table), "weight": np.array([1.0, 0, 0, 1])})
    assert make_metric("smape").score(masked) == pytest.approx(50)
    heavy = MetricTable(**{**vars(table), "weight": np.array([2.0, 2, 2, 1])})
    assert make_metric("smape").score(heavy) == pytest.approx(200 / 3)


def test_rmsle_counts_predictions_below_zero_as_zero_and_refuses_such_truth() -> None:
    assert make_metric("rmsle").score(MetricTable.of([0.0, 0], [-5, 0])) == 0
    with pytest.raises(InputError, match="below 0"):
        make_metric("rmsle").score(MetricTable.of([-1.0], [0]))


def test_mase_by_hand() -> None:
    history = SeriesHistory.of([[1, 2, 4, 7], [5, 5, 5, 5], [0, 10, 0]], seasonality=2)
    table = MetricTable.of(
        [8, 9, 5, 4],
        [9, 12, 7, 4],
        series=[0, 0, 1, 2],
        step=[1, 2, 1, 1],
        origin=[4, 4, 8, 11],
        history=history,
    )
    # Series 0: error 2 over (3 + 5) / 2. Series 1 never changed, series 2 has |0 - 0| alone: no scale.
    assert make_metric("mase").score(table) == pytest.approx(2 / 4)
    # Lag 1: 2 / ((1 + 2 + 3) / 3) and, for series 2, 0 / 10.
    assert make_metric("mase", {"seasonality": 1}).score(table) == pytest.approx((1 + 0) / 2)
    with pytest.raises(UndefinedScore, match="changes"):
        make_metric("mase").score(table.take(np.array([2])))


def test_missing_past_values_are_left_out_of_the_scale() -> None:
    history = SeriesHistory.of([[1, 3, np.nan, 7, 8]], seasonality=1)
    table = MetricTable.of([10], [13], origin=[5], history=history)
    assert make_metric("mase").score(table) == pytest.approx(3 / ((2 + 1) / 2))


def test_rmsse_by_hand() -> None:
    history = SeriesHistory.of([[0, 0, 2, 4, 1]])
    table = MetricTable.of([3, 3], [4, 6], step=[1, 2], origin=[5, 5], history=history)
    assert make_metric("rmsse").score(table) == pytest.approx(np.sqrt(5 / ((4 + 9) / 2)))
    untrimmed = make_metric("rmsse", {"trim_leading_zeros": False}).score(table)
    assert untrimmed == pytest.approx(np.sqrt(5 / ((0 + 4 + 4 + 9) / 4)))


def test_wrmsse_by_hand() -> None:
    """Two series, a level of each alone and one of their total, checked with plain arithmetic."""
    history = SeriesHistory.of([[1, 3, 2, 4], [10, 10, 14, 12]])
    table = MetricTable.of(
        [5, 5, 11, 13],
        [4, 7, 12, 10],
        series=[0, 0, 1, 1],
        step=[1, 2, 1, 2],
        origin=[4, 4, 8, 8],
        history=history,
    )
    first = np.sqrt(((1 + 4) / 2) / ((4 + 1 + 4) / 3))
    second = np.sqrt(((1 + 9) / 2) / ((0 + 16 + 4) / 3))
    by_series = (10 * first + 46 * second) / 56  # weights: what they sold in the last 28 rows, here all
    total = np.sqrt(((0 + 1) / 2) / ((4 + 9 + 0) / 3))  # errors 1 - 1 and -2 + 3; totals 11, 13, 16, 16
    assert make_metric("wrmsse").score(table) == pytest.approx(by_series)
    levels = {"series": ["a", "b"], "total": ["all", "all"]}
    assert make_metric("wrmsse", {"groups": levels}).score(table) == pytest.approx((by_series + total) / 2)
    chosen = make_metric("wrmsse", {"series_weight": [3, 1]}).score(table)
    assert chosen == pytest.approx((3 * first + second) / 4)
    last = make_metric("wrmsse", {"weight_rows": 1}).score(table)
    assert last == pytest.approx((4 * first + 12 * second) / 16)


def test_wrmsse_of_two_cut_offs_is_their_mean() -> None:
    table = random_table(9)
    earlier = MetricTable(**{**vars(table), "origin": table.origin - 3})
    both = MetricTable(
        **{
            **vars(table),
            **{
                name: np.concatenate([getattr(table, name), getattr(earlier, name)])
                for name in (
                    "truth",
                    "prediction",
                    "weight",
                    "series",
                    "step",
                    "origin",
                    "quantile_prediction",
                )
            },
        }
    )
    metric = make_metric("wrmsse", {"groups": {"total": np.zeros(5), "half": [0, 0, 1, 1, 1]}})
    assert metric.score(both) == pytest.approx((metric.score(table) + metric.score(earlier)) / 2)


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"groups": {"state": ["CA"]}}, "groups.state has 1 labels"),
        ({"groups": ["CA"]}, "expected level: labels"),
        ({"series_weight": [1, 2]}, "series_weight has 2 values"),
        ({"series_weight": [1, 2, 3, 4, -5]}, "below 0"),
        ({"weight_rows": 0}, "weight_rows is 0"),
    ],
)
def test_wrmsse_refuses_settings_that_do_not_fit(given_settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_metric("wrmsse", given_settings).score(random_table(1))


def test_quantile_metrics_by_hand() -> None:
    table = MetricTable.of(
        [10, 20],
        [0, 0],
        quantiles=[0.1, 0.5],
        quantile_prediction=np.array([[[8, 9]], [[22, 24]]]),
        weight=[1, 3],
    )
    low = (0.1 * 2 + 3 * 0.9 * 2) / 4
    middle = (0.5 * 1 + 3 * 0.5 * 4) / 4
    assert make_metric("pinball").score(table) == pytest.approx((low + middle) / 2)
    assert make_metric("pinball", {"quantiles": [0.1]}).score(table) == pytest.approx(low)
    assert make_metric("pinball", {"quantiles": 0.1}).score(table) == pytest.approx(low)
    size = (10 + 3 * 20) / 4
    assert make_metric("wql").score(table) == pytest.approx((low + middle) / size)  # 2 / (two quantiles)
    with pytest.raises(InputError, match=r"quantile 0.9 was not predicted; there are: 0.1, 0.5"):
        make_metric("wql", {"quantiles": [0.9]}).score(table)


# Naive2 and M4 ---------------------------------------------------------------------------------------------


def test_seasonal_test_and_indices_on_a_plain_season() -> None:
    index = np.array([0.5, 1.0, 1.5, 1.0])
    values = np.tile(index, 6) * 20
    assert is_seasonal(values, 4)
    assert not is_seasonal(values[:11], 4)  # fewer than three seasons
    assert not is_seasonal(np.full(24, 7.0), 4)
    assert not is_seasonal(np.random.default_rng(0).normal(size=200), 12)
    np.testing.assert_allclose(seasonal_indices(values, 4), index)
    np.testing.assert_allclose(naive2_season(values[:, None], 4)[:, 0], index * 20)
    # Not at the end of a season: the next row is the second of its season.
    np.testing.assert_allclose(naive2_season(values[:-3, None], 4)[:, 0], np.roll(index, -1) * 20)


def test_seasonal_indices_of_an_odd_season() -> None:
    index = np.array([0.4, 1.0, 1.6])
    np.testing.assert_allclose(seasonal_indices(np.tile(index, 5), 3), index)


def test_naive2_without_a_season_repeats_the_last_known_value() -> None:
    past = np.array([[1.0, np.nan], [5.0, np.nan], [np.nan, np.nan]])
    season = naive2_season(past, 2)
    np.testing.assert_array_equal(season[:, 0], [5.0, 5.0])
    assert np.isnan(season[:, 1]).all()


def test_naive2_where_the_indices_cannot_be_had() -> None:
    """A moving average of 0 leaves no multiplicative index: the last value, not NaN."""
    past = np.tile([1.0, -1.0], 10)[:, None]
    assert is_seasonal(past[:, 0], 2)
    np.testing.assert_array_equal(naive2_season(past, 2)[:, 0], [-1.0, -1.0])


def m4_hourly() -> tuple[MetricTable, SeriesHistory]:
    """The official test rows with the seasonal naive prediction, and the training series as history."""
    train = pd.read_parquet(real_data("m4_hourly/hourly_train.parquet"))
    test = pd.read_parquet(real_data("m4_hourly/hourly_test.parquet"))
    names = train["unique_id"].astype(str).unique().tolist()
    position = {name: index for index, name in enumerate(names)}
    by_series = {name: part["y"].to_numpy() for name, part in train.groupby(train["unique_id"].astype(str))}
    history = SeriesHistory.of([by_series[name] for name in names], seasonality=24)
    series = test["unique_id"].astype(str).map(position).to_numpy()
    step = test.groupby("unique_id", observed=True).cumcount().to_numpy() + 1
    end = history.offsets[1:][series]
    seasonal_naive = history.values[end - 24 + (step - 1) % 24]
    origin = history.offsets[1:][series]
    return (
        MetricTable.of(test["y"], seasonal_naive, series=series, step=step, origin=origin, history=history),
        history,
    )


def test_m4_hourly_published_values() -> None:
    """The organisers' figures. Naive2: sMAPE 18.383, MASE 2.395; sNaive: 13.912, 1.193, OWA 0.6275."""
    table, _ = m4_hourly()
    assert len(table.truth) == 414 * 48
    smape, mase, owa = (make_metric(name) for name in ("smape", "mase", "owa"))
    assert smape.score(table) == pytest.approx(13.912, abs=5e-4)
    assert mase.score(table) == pytest.approx(1.193, abs=5e-4)
    assert owa.score(table) == pytest.approx(0.6275, abs=5e-5)
    reference = with_prediction(table, naive2(table, 24))
    assert smape.score(reference) == pytest.approx(18.383, abs=5e-4)
    assert mase.score(reference) == pytest.approx(2.395, abs=5e-4)
    assert owa.score(reference) == pytest.approx(1.0, abs=1e-12)
    by_step = smape.score_by(table, table.step)
    assert np.mean(list(by_step.values())) == pytest.approx(smape.score(table))  # 414 forecasts at every step


# By groups -------------------------------------------------------------------------------------------------


def test_score_by_group_is_the_score_of_its_rows() -> None:
    table = random_table(4)
    labels = np.array([f"store {index % 3}" for index in range(len(table.truth))])
    for name in NAMED:
        metric = make_metric(name)
        scores = metric.score_by(table, labels)
        assert list(scores) == ["store 0", "store 1", "store 2"]
        for label, score in scores.items():
            assert score == metric.score(table.take(labels == label))


def test_score_by_is_nan_where_undefined_and_leaves_out_unjudged_groups() -> None:
    table = MetricTable.of([0, 10, 5], [1, 11, 5], weight=[1, 1, 0])
    scores = make_metric("mape").score_by(table, [7, 8, 9])
    assert np.isnan(scores[7])
    assert scores[8] == pytest.approx(0.1)
    assert list(scores) == [7, 8]


def test_forecasts_are_found_alike_by_counting_and_by_sorting() -> None:
    random = np.random.default_rng(0)
    series, origin = random.integers(0, 4, 50), random.integers(0, 3, 50)
    near = MetricTable.of(np.ones(50), np.ones(50), series=series, origin=origin).forecasts()
    far = MetricTable.of(np.ones(50), np.ones(50), series=series, origin=origin * 10**6).forecasts()
    np.testing.assert_array_equal(near.code, far.code)
    np.testing.assert_array_equal(near.series, far.series)
    np.testing.assert_array_equal(near.origin * 10**6, far.origin)
    np.testing.assert_array_equal(near.series[near.code], series)
    np.testing.assert_array_equal(near.origin[near.code], origin)


# Names, settings, the user's function ----------------------------------------------------------------------


def test_unknown_name_and_setting_name_the_nearest() -> None:
    with pytest.raises(InputError, match="'rmspe'"):
        make_metric("rmpse")
    with pytest.raises(InputError, match="did you mean 'seasonality'"):
        make_metric("mase", {"seasonalty": 24})
    with pytest.raises(InputError, match="seasonality is '24'"):
        make_metric("mase", {"seasonality": "24"})
    with pytest.raises(InputError, match="unknown average"):
        make_metric("smape", {"average": "row"})
    with pytest.raises(InputError, match="numbers between 0 and 1"):
        make_metric("wql", {"quantiles": [10, 50]})
    assert make_metric(" RMSPE ").name == "rmspe"


@pytest.mark.parametrize("name", ["mase", "owa", "rmsse", "wrmsse"])
def test_scaled_metric_without_history_says_so(name: str) -> None:
    with pytest.raises(InputError, match="past of each series"):
        make_metric(name).score(MetricTable.of([1.0], [1.0]))


@pytest.mark.parametrize("name", ["pinball", "wql"])
def test_quantile_metric_without_quantiles_says_so(name: str) -> None:
    with pytest.raises(InputError, match="quantile predictions"):
        make_metric(name).score(MetricTable.of([1.0], [1.0]))


def user_file(folder: Path, text: str) -> Path:
    file = folder / "my_metric.py"
    file.write_text(text)
    return file


def test_user_function(tmp_path: Path) -> None:
    file = user_file(
        tmp_path,
        "import numpy as np\n"
        "def worst(truth, prediction, weight):\n"
        "    return np.max(weight * np.abs(truth - prediction))\n",
    )
    metric = make_metric(f"python: {file}:worst")
    table = MetricTable.of([1, 2, 3], [1, 4, 9], weight=[1, 2, 0])
    assert metric.score(table) == 4.0
    again = make_metric("python", {"function": f"{file}:worst", "maximize": True, "loss": "l2"})
    assert again.greater_is_better
    assert again.loss_hint == "l2"
    assert not metric.greater_is_better
    copy: Metric = pickle.loads(pickle.dumps(again))
    assert copy.score(table) == 4.0
    assert copy.greater_is_better


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        ("def error(t, p, w): return 0.0", "{file}:eror", "unknown function 'eror'; did you mean 'error'"),
        ("def error(t, p, w) return 0.0", "{file}:error", "cannot be loaded: SyntaxError"),
        ("def error(t, p, w): return 0.0", "{file}", "expected FILE.py:FUNCTION"),
        ("def error(t, p, w): return 0.0", "nowhere.py:error", "not a Python file that exists"),
    ],
)
def test_user_function_that_cannot_be_loaded(tmp_path: Path, text: str, reference: str, message: str) -> None:
    file = user_file(tmp_path, text)
    with pytest.raises(InputError, match=message):
        make_metric("python", {"function": reference.format(file=file)})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "line 2 of my_metric.py: ZeroDivisionError"),
        ("t - p", "expected one number"),
        ("'good'", "expected one number"),
        ("float('nan')", "expected a finite number"),
    ],
)
def test_user_function_that_fails(tmp_path: Path, body: str, message: str) -> None:
    file = user_file(tmp_path, f"def error(t, p, w):\n    return {body}\n")
    with pytest.raises(InputError, match=message):
        make_metric(f"python:{file}:error").score(MetricTable.of([1.0, 2.0], [1.0, 1.0]))


def test_user_function_needs_its_reference() -> None:
    with pytest.raises(InputError, match="needs the setting 'function'"):
        make_metric("python")
