"""Boosting on the origin table: missing features, caps of rows, weights, recursion, counts, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.folds import Origins
from data.history_columns import GrowingTail
from data.inputs import Block, Inputs, build_inputs
from data.origin_table import OriginTable, build_origin_table, window_scale
from data.origins import TrainingOrigins
from data.predictions import check_complete
from data.schema import Column
from data.split import make_split
from models.members.catalogue import make_member
from models.members.lightgbm import LightGBM
from tests.members import (
    CONTEXT,
    Toy,
    asked_rows_of,
    fit_task,
    garbled_from,
    make_toy,
    more_origins,
    same,
    small_settings,
)
from tests.panels import HORIZON, make_panel


def small(**changes: Any) -> LightGBM:
    member = make_member("lightgbm", {**small_settings("lightgbm"), **changes})
    assert isinstance(member, LightGBM)
    return member


def fitted_rows(member: LightGBM, folder: Path) -> int:
    """Rows that the first booster saw at its root."""
    booster = lightgbm.Booster(model_file=folder / "target0.txt")
    return int(booster.trees_to_dataframe().query("node_depth == 1")["count"].max())


def signal(toy: Toy) -> np.ndarray:
    """(R,) two values in turn, which decide the target below; missing in every third row."""
    rows = np.arange(toy.panel.rows)
    return np.where(rows % 3 == 2, np.nan, np.where(rows % 2 == 0, 1.0, -1.0))


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_missing_features_and_several_targets_are_learnt_from(name: str, tmp_path: Path) -> None:
    """Target 0 follows the feature where it is there, target 1 follows whether it is missing."""
    toy = make_toy(name, missing=False, gaps=False)
    found = signal(toy)
    truth = np.stack([np.where(found == 1, 200.0, 50.0), np.where(np.isnan(found), 300.0, 20.0)], axis=1)
    panel = replace(toy.panel, target=np.where(toy.panel.test[:, None], np.nan, truth))
    block = Block((Column("signal"),), found[:, None].astype(np.float32))
    inputs = build_inputs(toy.competition, panel, [block], toy.fold, CONTEXT, toy.horizon)
    assert np.isnan(inputs.real[:, inputs.schema.real.index("signal")]).any()
    task = fit_task(toy, tmp_path, panel, inputs=inputs)
    member = small(rounds=60, learning_rate=0.3, feature_fraction=1.0, scaling="none")
    member.fit(task)
    table = member.predict(task, toy.fold.asked, "oof")
    value = table["value"].to_numpy().reshape(-1, 2)
    row = table["row_id"].to_numpy().reshape(-1, 2)[:, 0]
    np.testing.assert_allclose(value, truth[row], rtol=0.1)
    interpretation = member.interpretation(task)
    assert interpretation is not None
    share = interpretation.variables["gain"]
    assert next(iter(share)) == "signal"
    assert sum(share.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "rows"), [("sequence", 45), ("horizon", 30), ("horizon", 100)])
def test_no_more_rows_than_the_cap(name: str, rows: int, tmp_path: Path) -> None:
    """Also with more series (9) than windows that are wanted (6), which no stride can thin out."""
    toy = make_toy(name)
    everything, capped = tmp_path / "all", tmp_path / "capped"
    for folder, cap in ((everything, 10_000), (capped, rows)):
        task = fit_task(toy, folder)
        member = small(rows=cap, bagging_fraction=1.0, least_rows=1)
        member.fit(task)
    assert 0 < fitted_rows(member, capped) <= rows < fitted_rows(member, everything)


def test_all_training_rows_and_no_others(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    task = fit_task(toy, tmp_path)
    member = small(rows=10**6, bagging_fraction=1.0, least_rows=1)
    member.fit(task)
    origins = TrainingOrigins(task.inputs, toy.fold.train_end)
    pairs = origins.origins(np.arange(len(origins)))
    expected = 0
    for series, origin in pairs:
        rows = np.arange(origin, min(origin + toy.horizon, toy.fold.train_end[series]))
        judged = (task.inputs.weight[rows] > 0) & task.inputs.observed[rows].all(1)
        expected += int(judged.sum())
    assert fitted_rows(member, tmp_path) == expected


def test_rows_of_no_weight_teach_nothing(tmp_path: Path) -> None:
    toy = make_toy("sequence")
    unjudged = toy.panel.weight == 0
    assert unjudged.any()
    task = fit_task(toy, tmp_path / "clean")
    target = toy.panel.target.copy()
    target[unjudged] *= 1000.0
    other = fit_task(toy, tmp_path / "other", replace(toy.panel, target=target))
    tables = []
    for one in (task, other):
        member = small()
        member.fit(one)
        tables.append(member.predict(replace(task, folder=one.folder), toy.fold.asked, "oof"))
    same(tables[0], tables[1])


def test_a_heavy_row_counts_for_more(tmp_path: Path) -> None:
    """The L1 optimum is the weighted median: with weight 9 to 1 on the high rows, predictions are high."""
    toy = make_toy("sequence", missing=False)
    rows = np.arange(toy.panel.rows)
    target = np.where(rows[:, None] % 3 == 0, 300.0, 30.0) * np.ones((1, 2))
    target[toy.panel.test] = np.nan
    medians = {}
    for heavy in (1.0, 9.0):
        weight = np.where(rows % 3 == 0, heavy, 1.0).astype(np.float32)
        task = fit_task(toy, tmp_path / f"{heavy}", replace(toy.panel, target=target, weight=weight))
        member = small(leaves=2, feature_fraction=0.1, rounds=80, learning_rate=0.3, least_rows=100)
        member.fit(task)
        medians[heavy] = member.predict(task, toy.fold.asked, "oof")["value"].median()
    assert medians[1.0] < 100 < 200 < medians[9.0]


def test_columns_of_like_names_are_kept_apart(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    names = ["a b", "a_b", "a:b", "step"]  # the table has a column `step` of its own
    values = np.random.default_rng(0).normal(size=(toy.panel.rows, len(names))).astype(np.float32)
    block = Block(tuple(Column(name) for name in names), values)
    inputs = build_inputs(toy.competition, toy.panel, [block], toy.fold, CONTEXT, toy.horizon)
    task = fit_task(toy, tmp_path, inputs=inputs)
    member = small()
    member.fit(task)
    found = lightgbm.Booster(model_file=tmp_path / "target0.txt").feature_name()
    assert len(set(found)) == len(found)
    assert {"a_b", "a_b_", "a_b__", "step", "step_"} <= set(found)
    asked = Origins(toy.fold.asked.series[:1], toy.fold.asked.row[:1])
    assert len(found) == build_origin_table(inputs, asked, seasons=4).feature.shape[1]


def test_settings_that_lightgbm_refuses_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="member lightgbm: LightGBM refuses"):
        small(objective="l3").fit(fit_task(make_toy("sequence"), tmp_path))


def test_no_judged_row_at_all_is_said(tmp_path: Path) -> None:
    toy = make_toy("sequence")
    task = fit_task(toy, tmp_path, replace(toy.panel, weight=np.zeros_like(toy.panel.weight)))
    with pytest.raises(InputError, match="no training row of fold0 has a target and a weight"):
        small().fit(task)


def many(transform: str, **shape: Any) -> Toy:
    """More series than `make_toy` has, without gaps, and one fold."""
    competition, panel = make_panel("horizon", missing=False, gaps=False, **shape)
    competition.target_transform = transform
    competition.folds.kind, competition.folds.count, competition.folds.step = "rolling", 1, HORIZON
    return Toy(competition, panel, make_split(competition, panel))


def oscillating(series: int = 400, rows: int = 24) -> tuple[Toy, np.ndarray]:
    """Series of y[t] = 100 + 1.6 (y[t - 1] - 100) - 0.9 (y[t - 2] - 100) + e, and their truth (R, 2)."""
    toy = many("none", series=series, equal=True)
    toy.competition.seasonality = []
    panel = toy.panel
    noise = np.random.default_rng(0).normal(size=(series, rows + 50, 2))
    value = np.zeros_like(noise)
    for time in range(2, rows + 50):
        value[:, time] = 1.6 * value[:, time - 1] - 0.9 * value[:, time - 2] + noise[:, time]
    truth = 100.0 + value[:, 50:].reshape(-1, 2)
    panel = replace(
        panel,
        target=np.where(panel.test[:, None], np.nan, truth),
        weight=np.ones(panel.rows, dtype=np.float32),
    )
    return replace(toy, panel=panel), truth


def analytic(toy: Toy, truth: np.ndarray, target: int) -> np.ndarray:
    """(origins, HORIZON) the best forecasts: the recursion with its noise left out."""
    forecasts = []
    for origin in toy.fold.asked.row:
        past = list(truth[origin - 2 : origin, target] - 100.0)
        for _ in range(HORIZON):
            past.append(1.6 * past[-1] - 0.9 * past[-2])
        forecasts.append(100.0 + np.array(past[2:]))
    return np.stack(forecasts)


def by_origin(table: pd.DataFrame, target: int) -> np.ndarray:
    """(origins, HORIZON) predictions of a target."""
    rows = table[table["target"] == target].sort_values(["origin", "row_id"])
    return rows["value"].to_numpy().reshape(-1, HORIZON)


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_recursion_of_the_true_step_is_the_analytic_forecast(
    scaling: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With boosters that know the equation: each target is fed its own forecasts, in its own units."""
    toy, truth = oscillating(series=20)
    task = fit_task(toy, tmp_path)
    location, scale = window_scale(task.inputs, toy.fold.asked, scaling)
    names = build_origin_table(task.inputs, toy.fold.asked, tail=2, one_step=True).name
    last = [[names.index(f"{name}.last{back}") for back in (1, 2)] for name in toy.panel.target_name]

    def load(self: LightGBM, file: Path, threads: int) -> Any:
        target = int(file.stem.removeprefix("target"))
        centre = (100.0 - location[:, target]) / scale[:, target]  # what 100 is in each origin's units
        first, second = last[target]
        return lambda feature: (
            centre + 1.6 * (feature[:, first] - centre) - 0.9 * (feature[:, second] - centre)
        )

    monkeypatch.setattr(LightGBM, "load", load)
    table = small(strategy="recursive", tail=2, scaling=scaling).predict(task, toy.fold.asked, "oof")
    for target in (0, 1):
        np.testing.assert_allclose(by_origin(table, target), analytic(toy, truth, target), rtol=1e-4)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_recursive_forecasts_learn_the_recursion(kind: str, tmp_path: Path) -> None:
    """Trained on a few thousand rows: most of what can be known is known, up to the last step."""
    if kind == "xgboost":
        pytest.importorskip("xgboost")
    toy, truth = oscillating()
    settings = {"rounds": 200, "leaves": 15, "tail": 2, "scaling": "none", "strategy": "recursive"}
    member = make_member(kind, {**small_settings(kind), "objective": "l2", **settings})
    task = fit_task(toy, tmp_path)
    member.fit(task)
    found, expected = by_origin(member.predict(task, toy.fold.asked, "oof"), 0), analytic(toy, truth, 0)
    for step in (0, HORIZON - 1):
        error = np.mean((found[:, step] - expected[:, step]) ** 2)
        assert error < 0.15 * np.var(expected[:, step])


def recursive_table(inputs: Inputs, asked: Origins, tail: int, seasons: int, **more: Any) -> OriginTable:
    return build_origin_table(inputs, asked, "standard", tail, seasons, one_step=True, **more)


def test_the_growing_tail_holds_the_columns_of_the_first_step_and_then_forecasts() -> None:
    toy = make_toy("horizon", seed=1)
    inputs = build_inputs(toy.competition, toy.panel, [], toy.fold, CONTEXT, toy.horizon)
    asked = toy.fold.asked
    location, scale = window_scale(inputs, asked, "standard")
    growing = GrowingTail(inputs, asked, location, scale, tail=3, seasons=2)
    everyone = np.arange(len(asked.row))
    first = recursive_table(inputs, asked, 3, 2, steps=1)
    assert 1 < len(first.number) < len(everyone), "the first row after some origins is in a gap"
    columns = growing.columns(1, first.number)
    assert {name for name, _ in columns} == {name for name in first.name if "last" in name or "phase" in name}
    for name, values in columns:
        np.testing.assert_array_equal(values.astype(np.float32), first.feature[:, first.name.index(name)])
    for step in range(1, inputs.schema.horizon + 1):
        growing.put(step, everyone[1:], np.full((len(everyone) - 1, 2), float(step)))  # the first lacks it
    found = dict(growing.columns(4, everyone))
    target = inputs.schema.target[0]
    for back in (1, 2, 3):
        assert np.isnan(found[f"{target}.last{back}"][0])
        np.testing.assert_array_equal(found[f"{target}.last{back}"][1:], 4.0 - back)
    [period] = inputs.schema.seasonality
    before = dict(growing.columns(1, everyone))
    number = everyone[asked.row + 3 - period < asked.row]
    rows = asked.row[number] + 3 - period
    known = (
        (inputs.weight[rows] > 0) & inputs.observed[rows, 0] & (rows >= inputs.offsets[asked.series[number]])
    )
    expected = np.where(known, (inputs.target[rows, 0] - location[number, 0]) / scale[number, 0], np.nan)
    np.testing.assert_allclose(found[f"{target}.phase{period}"][number], expected, rtol=1e-5)
    assert before.keys() == found.keys()


def test_a_model_of_one_step_sees_no_column_that_a_later_step_lacks() -> None:
    toy = make_toy("horizon")
    values = np.random.default_rng(0).normal(size=(toy.panel.rows, 4)).astype(np.float32)
    columns = (
        Column("known"),
        Column("sum", reach=0),
        Column("lag2", reach=2),
        Column("lag5", reach=toy.horizon),
    )
    block = Block(columns, values)
    inputs = build_inputs(toy.competition, toy.panel, [block], toy.fold, CONTEXT, toy.horizon)
    table = recursive_table(inputs, toy.fold.asked, 2, 1)
    assert {"known", "lag5", "price", "promotion"} <= set(table.name)
    assert not {"step", "sum@origin", "lag2", "lag2@origin", "visitors@origin", "past.sales@origin"} & set(
        table.name
    )
    later = table.step > 1
    for name in table.name:
        values = table.feature[:, table.name.index(name)]
        if "last" in name or "phase" in name:
            assert np.isnan(values[later]).all()
        elif name in ("known", "lag5"):
            row = inputs.real[table.row_id, inputs.schema.real.index(name)]
            np.testing.assert_array_equal(values, row)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_recursive_keeps_to_the_contract(kind: str, tmp_path: Path) -> None:
    """Every asked row, gaps in the horizon or not; nothing from the origin on; one at a time as together."""
    if kind == "xgboost":
        pytest.importorskip("xgboost")
    toy = make_toy("horizon")
    member = make_member(kind, {**small_settings(kind), "strategy": "recursive"})
    task = fit_task(toy, tmp_path)
    member.fit(task)
    asked = more_origins(toy)
    whole = member.predict(task, asked, "oof")
    check_complete(whole, *asked_rows_of(toy, asked), kind, targets=2)
    assert 20 < whole["value"].median() < 300
    first = toy.fold.train_end.copy()
    first[toy.fold.asked.series] = toy.fold.asked.row
    garbled = fit_task(toy, tmp_path, garbled_from(toy.panel, first))
    expected = member.predict(task, toy.fold.asked, "oof")
    same(member.predict(garbled, toy.fold.asked, "oof"), expected)
    single = [
        member.predict(task, Origins(asked.series[[index]], asked.row[[index]]), "oof")
        for index in range(len(asked.row))
    ]
    together = pd.concat(single).sort_values(["row_id", "origin", "target"], ignore_index=True)
    np.testing.assert_allclose(together["value"], whole["value"], rtol=1e-5)
    other = tmp_path / "other"
    again = fit_task(toy, other, garbled_from(toy.panel, toy.fold.train_end))
    member.fit(again)
    same(member.predict(replace(task, folder=other), asked, "oof"), whole)


@pytest.mark.parametrize(("rows", "expected"), [(10, 10), (10**6, None)])
def test_recursive_learns_from_every_row_or_as_many_as_are_wanted(
    rows: int, expected: int | None, tmp_path: Path
) -> None:
    toy = make_toy("horizon")
    panel = replace(toy.panel, weight=np.ones_like(toy.panel.weight))
    task = fit_task(toy, tmp_path, panel)
    member = small(strategy="recursive", rows=rows, bagging_fraction=1.0, least_rows=1)
    member.fit(task)
    numbers = np.arange(panel.rows)
    begin, end = (
        np.repeat(ends, np.diff(panel.offsets)) for ends in (panel.offsets[:-1], toy.fold.train_end)
    )
    learnt = (numbers > begin) & (numbers < end) & np.isfinite(panel.target).all(1)
    if expected is None:
        assert fitted_rows(member, tmp_path) == learnt.sum()
    else:
        assert 0 < fitted_rows(member, tmp_path) <= expected


def test_recursive_needs_a_past(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lightgbm\.strategy: a sequence task has no past targets"):
        small(strategy="recursive").fit(fit_task(make_toy("sequence"), tmp_path))
    with pytest.raises(InputError, match="unknown strategy 'recursiv'; did you mean 'recursive'"):
        small(strategy="recursiv").fit(fit_task(make_toy("horizon"), tmp_path))


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("objective", ["poisson", "tweedie"])
def test_counts_are_learnt_by_their_mean(kind: str, objective: str, tmp_path: Path) -> None:
    """Half of the rows are 0: the median would be 0, the mean is not; and a mean is never below 0."""
    if kind == "xgboost":
        pytest.importorskip("xgboost")
    toy = many("none", series=60)
    generator = np.random.default_rng(0)
    rate = np.where(toy.panel.frame["promotion"] == 1, 2.0, 20.0)
    target = generator.poisson(rate)[:, None] * (generator.random((toy.panel.rows, 1)) < 0.5) * np.ones(2)
    panel = replace(toy.panel, target=np.where(toy.panel.test[:, None], np.nan, target))
    task = fit_task(toy, tmp_path, panel)
    settings = {"objective": objective, "rounds": 60, "learning_rate": 0.2, "feature_fraction": 1.0}
    member = make_member(kind, {**small_settings(kind), **settings})
    member.fit(task)
    found = member.predict(task, toy.fold.asked, "oof")
    assert (found["value"] >= 0).all()
    promotion = panel.frame["promotion"].to_numpy()[found["row_id"]]
    low, high = (found["value"][promotion == code].mean() for code in (1, 2))
    assert 0.5 < low < 2.0
    assert 5.0 < high < 12.0


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
@pytest.mark.parametrize(
    ("settings", "transform", "shift", "message"),
    [
        ({"objective": "poisson"}, "log1p", 0.0, "competition.target_transform is 'log1p'; expected none"),
        ({"objective": "tweedie", "scaling": "mean"}, "none", 0.0, "scaling: found 'mean', expected none"),
        ({"objective": "tweedie", "tweedie_power": 2.5}, "none", 0.0, "tweedie_power: found 2.5"),
        ({"objective": "poisson"}, "none", 60.0, "learns targets of 0 and more, and sales is -"),
    ],
)
def test_counts_in_other_units_are_refused(
    kind: str, settings: dict[str, Any], transform: str, shift: float, message: str, tmp_path: Path
) -> None:
    if kind == "xgboost":
        pytest.importorskip("xgboost")
    toy = make_toy("horizon")
    toy.competition.target_transform = transform
    task = fit_task(toy, tmp_path, replace(toy.panel, target=toy.panel.target - shift))
    with pytest.raises(InputError, match=rf"member\.{kind}\..*{message}"):
        make_member(kind, {**small_settings(kind), **settings}).fit(task)


def test_settings_that_xgboost_refuses_are_one_line(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    member = make_member("xgboost", {**small_settings("xgboost"), "objective": "reg:l3"})
    with pytest.raises(InputError, match="member xgboost: XGBoost refuses its settings: "):
        member.fit(fit_task(make_toy("sequence"), tmp_path))


def test_xgboost_learns_codes_and_tells_what_it_looked_at(tmp_path: Path) -> None:
    """The codes of a category are told apart; the column that decides has the largest gain."""
    pytest.importorskip("xgboost")
    toy = make_toy("sequence", missing=False)
    code = toy.panel.frame["promotion"].to_numpy()
    truth = np.where(code == 1, 200.0, 50.0)[:, None] * np.ones(2)
    panel = replace(toy.panel, target=np.where(toy.panel.test[:, None], np.nan, truth))
    task = fit_task(toy, tmp_path, panel)
    member = make_member(
        "xgboost", {**small_settings("xgboost"), "rounds": 60, "learning_rate": 0.3, "feature_fraction": 1.0}
    )
    member.fit(task)
    found = member.predict(task, toy.fold.asked, "oof")
    np.testing.assert_allclose(found["value"], truth[found["row_id"], 0], rtol=0.1)
    interpretation = member.interpretation(task)
    assert interpretation is not None
    share = interpretation.variables["gain"]
    assert next(iter(share)) == "promotion"
    assert sum(share.values()) == pytest.approx(1.0)
