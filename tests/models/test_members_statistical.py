"""Local statistical models: histories, statsforecast called by hand, fallbacks, resuming, refusals."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError, OutOfTime
from data.folds import Origins
from models.members import base, statistical
from models.members.catalogue import make_member
from models.members.forecast_log import ForecastLog, LocalForecast
from models.members.local_history import (
    fill_gaps,
    history_before,
    naive_spread,
    repeat_season,
)
from models.members.statistical import FALLBACKS, LOG, StatisticalMember
from tests.members import Killed, Toy, fit_task, killer, make_toy, more_origins, same, small_settings
from tests.real_data import real_data

KINDS = ("arima", "ets", "mstl", "theta")
needs_statsforecast = pytest.mark.skipif(
    importlib.util.find_spec("statsforecast") is None, reason="statsforecast is not installed"
)


def member_of(kind: str, **settings: Any) -> StatisticalMember:
    member = make_member(kind, {**small_settings(kind), **settings})
    assert isinstance(member, StatisticalMember)
    return member


def wave(rows: int = 120, period: int = 7) -> np.ndarray:
    """A positive series with a trend, a season and noise."""
    time = np.arange(rows)
    season = np.sin(2 * np.pi * time / period)
    return 100.0 + 0.3 * time + 20.0 * season + np.random.default_rng(0).normal(0.0, 2.0, rows)


def long_toy(values: np.ndarray) -> tuple[Toy, Origins]:
    """A toy whose first series is `values`, and the origin right after them; raw units, everything judged."""
    toy = make_toy("horizon", missing=False, gaps=False)
    panel, horizon = toy.panel, toy.horizon
    added = len(values) + horizon - int(panel.offsets[1])
    assert added >= 0

    def longer(array: np.ndarray) -> np.ndarray:
        return np.concatenate([np.repeat(array[:1], added, axis=0), array])

    target = longer(panel.target)
    target[: len(values)] = values[:, None]
    target[len(values) : len(values) + horizon] = np.nan
    rows = len(target)
    panel = replace(
        panel,
        offsets=np.concatenate([[0], panel.offsets[1:] + added]),
        time=np.arange(rows),
        timestamp=None,
        frame=pd.concat([panel.frame.iloc[[0] * added], panel.frame], ignore_index=True),
        target=target,
        weight=np.ones(rows, dtype=np.float32),
        present=np.ones(rows, dtype=bool),
        test=longer(panel.test),
        official_id=longer(panel.official_id),
    )
    toy.competition.target_transform = "none"
    folds = tuple(replace(fold, train_end=fold.train_end + added) for fold in toy.split.folds)
    split = replace(toy.split, folds=folds)
    return replace(toy, panel=panel, split=split), Origins(np.array([0]), np.array([len(values)]))


def predicted(member: StatisticalMember, toy: Toy, asked: Origins, folder: Path, **inputs: Any) -> np.ndarray:
    """(horizon, 1 + Q) of the first target of a single origin."""
    task = fit_task(toy, folder)
    if inputs:
        task = replace(task, inputs=replace(task.inputs, schema=task.inputs.schema._replace(**inputs)))
    member.fit(task)
    table = member.predict(task, asked, "oof").query("target == 0")
    return table.pivot(index="row_id", columns="quantile", values="value").to_numpy()


@pytest.mark.parametrize(
    ("values", "period", "expected"),
    [
        ([1, 2, 3, 4, np.nan, 6], 3, [1, 2, 3, 4, 2, 6]),  # the newest before it in its phase
        ([1, np.nan, 3, 4, 5, 6], 3, [1, 5, 3, 4, 5, 6]),  # none before: the next one
        ([1, np.nan, 3, 4, np.nan, 6], 3, [1, 2, 3, 4, 5, 6]),  # never known: between its neighbours
        ([1, np.nan, np.nan, 4], 1, [1, 1, 1, 4]),
        ([1, 2, 3, 4, 5, np.nan, np.nan], 3, [1, 2, 3, 4, 5, 3, 4]),
        ([1, np.nan], 5, [1, 1]),
    ],
)
def test_gaps_are_filled_from_their_phase(values: list[float], period: int, expected: list[float]) -> None:
    given = np.array(values, dtype=float)
    np.testing.assert_array_equal(fill_gaps(given, period), expected)
    np.testing.assert_array_equal(given, values)


def test_a_history_holds_judged_rows_before_its_origin_only() -> None:
    toy = make_toy("horizon", seed=3)
    panel = toy.panel
    assert (panel.weight == 0).any()
    for series, origin in zip(*toy.fold.asked, strict=True):
        begin = panel.offsets[series]
        rows = np.arange(begin, origin)
        known = np.isfinite(panel.target[rows, 0]) & (panel.weight[rows] > 0)
        history = history_before(panel, int(series), int(origin), 0, 7)
        first = np.flatnonzero(known)[0]
        assert len(history) == origin - begin - first
        np.testing.assert_array_equal(history[known[first:]], panel.target[rows[known], 0])
        assert np.isfinite(history).all()
    unjudged = replace(panel, weight=np.zeros_like(panel.weight))
    assert len(history_before(unjudged, 0, int(toy.fold.asked.row[0]), 0, 7)), "then all rows are its history"


def test_last_season_by_hand() -> None:
    history = np.array([9.0, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(repeat_season(history, 5, 3), [4, 5, 6, 4, 5])
    np.testing.assert_array_equal(repeat_season(history[-2:], 5, 3), [6, 5, 6, 6, 5])
    np.testing.assert_array_equal(repeat_season(history[:0], 2, 3), [0, 0])
    changes = np.array([3 - 9.0, 3, 3, 3])
    sigma = np.sqrt(np.mean(changes**2))
    np.testing.assert_allclose(naive_spread(history, 4, 3), sigma * np.sqrt([1, 1, 1, 2]))


@needs_statsforecast
@pytest.mark.parametrize("kind", ["ets", "theta", "mstl", "arima"])
def test_forecasts_are_statsforecasts(kind: str, tmp_path: Path) -> None:
    """On a whole series in original units the member adds nothing and loses nothing."""
    from statsforecast.models import MSTL, AutoARIMA, AutoETS, AutoTheta, Naive

    models = {
        "ets": lambda: AutoETS(season_length=7, model="AAA", damped=False),
        "theta": lambda: AutoTheta(season_length=7, model="OTM"),
        "mstl": lambda: MSTL(season_length=[7, 14], trend_forecaster=Naive()),
        "arima": lambda: AutoARIMA(season_length=7, max_p=1, max_q=0, start_q=0, start_p=1, seasonal=False),
    }
    settings: dict[str, dict[str, Any]] = {
        "ets": {"model": "AAA"},
        "theta": {"variant": "OTM"},
        "mstl": {"periods": [14, 7]},
        "arima": {"approximation": False},
    }
    values = wave()
    toy, asked = long_toy(values)
    levels = (0.1, 0.5, 0.9)
    found = predicted(member_of(kind, **settings[kind]), toy, asked, tmp_path, quantile=levels)
    expected = models[kind]().forecast(values, h=toy.horizon, level=[80.0])
    columns = [expected[name] for name in ("mean", "lo-80.0", "mean", "hi-80.0")]
    np.testing.assert_allclose(found, np.stack(columns, axis=1), rtol=1e-6)
    assert (np.diff(found[:, 1:], axis=1) > 0).all()


@needs_statsforecast
def test_our_seasonal_naive_is_statsforecasts(tmp_path: Path) -> None:
    from statsforecast.models import SeasonalNaive

    values = wave(50)
    toy, asked = long_toy(values)
    for period in (1, 3, 7, 24):
        task = fit_task(toy, tmp_path)
        member = make_member("seasonal_naive", {"period": period})
        found = member.predict(task, asked, "oof").query("target == 0")["value"].to_numpy()
        expected = SeasonalNaive(season_length=period).forecast(values, h=toy.horizon)["mean"]
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(repeat_season(values, toy.horizon, period), expected)


@needs_statsforecast
def test_only_the_newest_rows_and_another_transform(tmp_path: Path) -> None:
    values = wave()
    toy, asked = long_toy(values)
    short = predicted(member_of("theta", rows=40), toy, asked, tmp_path)
    altered = np.where(np.arange(120) < 80, 5.0, values)
    toy_altered, _ = long_toy(altered)
    np.testing.assert_array_equal(
        predicted(member_of("theta", rows=40), toy_altered, asked, tmp_path / "altered"), short
    )
    whole = predicted(member_of("theta"), toy, asked, tmp_path)
    logged = predicted(member_of("theta", target_transform="log1p"), toy, asked, tmp_path)
    assert not np.allclose(short, whole, rtol=1e-4)
    assert not np.array_equal(logged, whole)
    np.testing.assert_allclose(logged, whole, rtol=0.1)


@needs_statsforecast
@pytest.mark.parametrize(
    ("values", "reason", "expected"),
    [
        (np.full(30, 4.0), statistical.CONSTANT, 4.0),
        (np.zeros(30), statistical.CONSTANT, 0.0),
        (np.concatenate([np.full(28, np.nan), [3.0, 5.0]]), statistical.SHORT, 5.0),
        (np.full(30, np.nan), statistical.NO_HISTORY, 0.0),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_model_gets_its_last_season_and_is_listed(
    kind: str, values: np.ndarray, reason: str, expected: float, tmp_path: Path
) -> None:
    toy, asked = long_toy(values)
    said: list[str] = []
    task = fit_task(toy, tmp_path, progress=lambda share, text: said.append(text))
    task = replace(task, inputs=replace(task.inputs, schema=task.inputs.schema._replace(quantile=(0.1, 0.9))))
    member = member_of(kind, period=1)
    member.fit(task)
    table = member.predict(task, asked, "oof")
    assert np.isfinite(table["value"]).all()
    np.testing.assert_array_equal(table.query("quantile == 0")["value"], expected)
    listed = pd.read_csv(task.folder / FALLBACKS)
    assert listed[["part", "series", "reason"]].drop_duplicates().to_numpy().tolist() == [
        ["oof", "s0", reason]
    ]
    assert "2 of 2 series by their last season (fallbacks.csv)" in said


@needs_statsforecast
def test_a_series_called_na_is_listed_by_its_name(tmp_path: Path) -> None:
    toy, asked = long_toy(np.full(30, 4.0))
    names = np.array(["NA", *toy.panel.series_name[1:]], dtype=object)
    task = fit_task(replace(toy, panel=replace(toy.panel, series_name=names)), tmp_path)
    member = member_of("theta", period=1)
    member.fit(task)
    for part in ("oof", "test"):
        member.predict(task, asked, part)
    assert set(pd.read_csv(task.folder / FALLBACKS, keep_default_na=False)["series"]) == {"NA"}


@needs_statsforecast
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [4, 5, 8, 13, 14, 15, 17, 18])
def test_short_series_are_finite(kind: str, rows: int, tmp_path: Path) -> None:
    """From one row to more than two seasons, sparse ones too."""
    for number, values in enumerate((wave(30), np.where(np.arange(30) % 5 == 0, 3.0, 0.0))):
        short = np.where(np.arange(30) < 30 - rows, np.nan, values)
        toy, asked = long_toy(short)
        found = predicted(member_of(kind), toy, asked, tmp_path / f"{number}", quantile=(0.05, 0.95))
        assert np.isfinite(found).all()


def nasty() -> dict[str, np.ndarray]:
    """Series that models of positive, long, regular ones may stumble on."""
    time, generator = np.arange(60.0), np.random.default_rng(0)
    return {
        "negative": generator.normal(-50.0, 5.0, 60),
        "around zero": 10.0 * np.sin(time) + generator.normal(size=60),
        "mostly zero": np.where(generator.random(60) < 0.15, 5.0, 0.0),
        "zero but the last": np.where(time == 59, 5.0, 0.0),
        "tiny": 1e-9 * (2.0 + np.sin(time)),
        "huge": 1e12 * (2.0 + np.sin(time)),
        "line": time,
        "exponential": np.exp(time / 4.0),
        "outlier": np.where(time == 57, 1e6, generator.normal(1.0, 0.01, 60)),
        "two values": time % 2,
        "exact season": time % 7,
    }


@needs_statsforecast
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("arima", {"max_p": 2, "max_q": 1, "seasonal": True}),
        ("ets", {"model": "ZZZ", "damped": None}),
        ("ets", {"model": "MAM"}),
        ("ets", {"model": "MMM"}),
        ("theta", {}),
        ("theta", {"variant": "DOTM", "decomposition": "additive"}),
        ("mstl", {"trend": "ets"}),
        ("mstl", {"trend": "theta"}),
    ],
)
def test_nasty_series_have_forecasts_of_their_own_size(kind: str, settings: dict[str, Any]) -> None:
    """Also over a horizon longer than the history; quantiles in order, the point among them."""
    levels = (0.025, 0.5, 0.975)
    by_model = set()
    for name, values in nasty().items():
        for horizon in (5, 70):
            found = member_of(kind, **settings).forecast(values, horizon, 7, levels, (7, 14))
            assert found.value.shape == (horizon, 4)
            assert np.isfinite(found.value).all()
            assert (np.diff(found.value[:, 1:], axis=1) >= 0).all(), name
            np.testing.assert_array_equal(found.value[:, 0], found.value[:, 2])
            if settings.get("model") in ("MAM", "MMM") and values.min() <= 0:
                assert found.reason.startswith(f"{statistical.REFUSED}: Inappropriate model for"), name
            if found.reason:
                np.testing.assert_array_equal(found.value[:, 0], repeat_season(values, horizon, 7))
                continue
            by_model.add(name)
            farthest = 3.0 * max(1.0, horizon / len(values)) * np.ptp(values) * (1.0 + 1e-9)
            assert found.value.min() >= values.min() - farthest, name
            assert found.value.max() <= values.max() + farthest, name
    assert len(by_model) >= 3, "most are the model's own, not the last season's"


@needs_statsforecast
def test_a_line_goes_on_over_a_horizon_many_times_its_length() -> None:
    found = member_of("theta", variant="OTM").forecast(np.arange(10.0), 100, 1, (), ())
    assert not found.reason
    np.testing.assert_allclose(found.value[-1, 0], 109.0, rtol=0.25)


@needs_statsforecast
def test_an_error_of_ours_is_no_series_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Changed:
        def forecast(self, **given: Any) -> dict[str, np.ndarray]:
            raise TypeError("forecast() got an unexpected keyword argument 'level'")

    member = member_of("theta")
    monkeypatch.setattr(member, "model", lambda period: Changed())
    with pytest.raises(TypeError, match="unexpected keyword"):
        member.forecast(wave(40), 5, 7, (), (7,))


@needs_statsforecast
def test_a_model_that_refuses_or_explodes_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Broken:
        def __init__(self, value: float) -> None:
            self.value = value

        def forecast(self, y: np.ndarray, h: int, level: Any = None) -> dict[str, np.ndarray]:
            if np.isnan(self.value):
                raise Exception("tiny\ndatasets")
            return {"mean": np.full(h, self.value)}

    values = wave(30)
    toy, asked = long_toy(values)
    wild = values.max() + 3.1 * np.ptp(values)
    for value, reason in (
        (np.nan, f"{statistical.REFUSED}: tiny datasets"),
        (np.inf, statistical.NOT_FINITE),
        (wild, statistical.FAR_OUT),
    ):
        member = member_of("theta")
        monkeypatch.setattr(member, "model", lambda period, value=value: Broken(value))
        folder = tmp_path / f"{value}"
        found = predicted(member, toy, asked, folder)
        np.testing.assert_array_equal(found[:, 0], repeat_season(values, toy.horizon, 7))
        assert set(pd.read_csv(folder / FALLBACKS)["reason"]) == {reason}


@needs_statsforecast
def test_what_was_done_before_a_kill_is_not_done_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy = make_toy("horizon")
    asked = more_origins(toy)
    expected = member_of("theta").predict(fit_task(toy, tmp_path / "whole"), asked, "oof")
    folder = tmp_path / "killed"
    dying = fit_task(toy, folder, progress=killer(lambda share, text: share > 0.5))
    with pytest.raises(Killed):
        member_of("theta").predict(dying, asked, "oof")
    with (folder / LOG).open("ab") as stream:
        stream.write(b"half a record")
    calls = []
    done = StatisticalMember.forecast
    monkeypatch.setattr(
        StatisticalMember, "forecast", lambda *given, **more: calls.append(1) or done(*given, **more)
    )
    same(member_of("theta").predict(fit_task(toy, folder), asked, "oof"), expected)
    assert 0 < len(calls) <= len(asked.row)  # half of two targets each
    calls.clear()
    same(member_of("theta").predict(fit_task(toy, folder), asked, "oof"), expected)
    assert not calls
    member_of("theta", decomposition="additive").predict(fit_task(toy, folder), asked, "oof")
    assert calls, "with other settings nothing is taken over"


def test_the_log_keeps_values_and_reasons(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    file = tmp_path / "log"
    log = ForecastLog(file, "a", 3, 2)
    histories = [generator.normal(size=size) for size in (0, 4, 5)]
    kept = [
        LocalForecast(generator.normal(size=(3, 2)), reason)
        for reason in ("", "refused: zu kurz für 30 Zeilen", "")
    ]
    for history, forecast in zip(histories, kept, strict=True):
        log.add(log.key(history), forecast)
    again = ForecastLog(file, "a", 3, 2)
    for history, forecast in zip(histories, kept, strict=True):
        found = again.get(again.key(history))
        assert found is not None
        assert found.reason == forecast.reason
        np.testing.assert_array_equal(found.value, forecast.value)
    assert again.get(again.key(histories[1][:3])) is None
    assert ForecastLog(file, "b", 3, 2).get(log.key(histories[1])) is not None
    assert log.key(histories[1]) != ForecastLog(file, "b", 3, 2).key(histories[1])


@needs_statsforecast
def test_the_deadline_ends_a_prediction(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    with pytest.raises(OutOfTime, match=r"after \d+ of \d+ series"):
        member_of("theta").predict(fit_task(toy, tmp_path, deadline=0.0), more_origins(toy), "oof")


@needs_statsforecast
@pytest.mark.slow
def test_more_processes_say_the_same(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    task = fit_task(toy, tmp_path / "one")
    expected = member_of("theta").predict(task, toy.fold.asked, "oof")
    more = fit_task(toy, tmp_path / "two", fit=replace(task.fit, threads=2))
    same(member_of("theta").predict(more, toy.fold.asked, "oof"), expected)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("ets", {"model": "ZXY"}, "ets.model: found 'ZXY', expected three letters"),
        ("ets", {"model": "AAM", "damped": None}, "ets.model: found 'AAM', which no stable model is"),
        ("ets", {"model": "AMZ", "damped": None}, "ets.model: found 'AMZ', which no stable model is"),
        ("ets", {"model": "ZMA", "damped": None}, "ets.model: found 'ZMA', which no stable model is"),
        ("ets", {"model": "ZNZ", "damped": True}, "ets.model: found 'ZNZ' with damped true, which no stable"),
        ("ets", {"period": 0}, "ets.period: found 0, expected a whole number from 1 on"),
        ("theta", {"variant": "OTN"}, r"theta.variant: unknown variant 'OTN'; did you mean 'OTM'"),
        ("theta", {"decomposition": "add"}, "theta.decomposition: unknown decomposition 'add'"),
        ("theta", {"rows": 0}, "theta.rows: found 0"),
        ("theta", {"target_transform": "log2"}, "theta.target_transform: unknown target_transform 'log2'"),
        ("arima", {"max_q": -1}, "arima.max_q: found -1"),
        ("mstl", {"trend": "est"}, "mstl.trend: unknown trend forecaster 'est'; did you mean 'ets'"),
        ("mstl", {"periods": [7, 1]}, "mstl.periods: found 1, expected at least 2 rows"),
    ],
)
def test_settings_without_meaning(kind: str, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    competition = make_toy("horizon").competition
    with pytest.raises(InputError, match=message):
        member_of(kind, **settings).check(competition, f"member.{kind}")


@pytest.mark.parametrize("kind", [*KINDS, "xgboost"])
def test_a_missing_package_is_one_line(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    hidden = ("statsforecast", "xgboost")
    monkeypatch.setattr(
        base.importlib.util, "find_spec", lambda name, *more: None if name in hidden else found(name, *more)
    )
    with pytest.raises(InputError, match=rf'member {kind}: \w+ is not installed; pip install "forecast-work'):
        make_member(kind, small_settings(kind)).fit(fit_task(make_toy("horizon"), tmp_path))


@needs_statsforecast
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "smape"), [("theta", 18.133), ("mstl", 13.763)])
def test_m4_hourly_as_statsforecast_itself_scores(kind: str, smape: float) -> None:
    """sMAPE of all 414 series, against what statsforecast's own classes give in its own pipeline."""
    folder = real_data("m4_hourly")
    train, truth = (pd.read_parquet(folder / f"hourly_{part}.parquet") for part in ("train", "test"))
    member = make_member(kind, {})
    assert isinstance(member, StatisticalMember)
    errors = []
    asked = dict(list(truth.sort_values("ds").groupby("unique_id", observed=True)["y"]))
    for name, history in train.sort_values("ds").groupby("unique_id", observed=True)["y"]:
        actual = asked[name].to_numpy(dtype=float)
        found = member.forecast(history.to_numpy(dtype=float), len(actual), 24, (), (24, 168))
        assert not found.reason
        forecast = np.maximum(found.value[:, 0], 0.0)
        errors.append(np.mean(200.0 * np.abs(actual - forecast) / (np.abs(actual) + np.abs(forecast))))
    assert len(errors) == 414
    assert np.mean(errors) == pytest.approx(smape, abs=0.02)
