"""LightGBM on the origin table: missing features, several targets, the cap of rows, weights, its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest

from data.errors import InputError
from data.folds import Origins
from data.inputs import Block, build_inputs
from data.origin_table import build_origin_table
from data.origins import TrainingOrigins
from data.schema import Column
from models.members.catalogue import make_member
from models.members.lightgbm import LightGBM
from tests.members import CONTEXT, Toy, fit_task, make_toy, same, small_settings


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


@pytest.mark.parametrize("wrong", [{"objective": "l3"}, {"leaves": 1}, {"feature_fraction": 0.0}])
def test_settings_that_lightgbm_refuses_are_one_line(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="member lightgbm: LightGBM refuses"):
        small(**wrong).fit(fit_task(make_toy("sequence"), tmp_path))


def test_no_judged_row_at_all_is_said(tmp_path: Path) -> None:
    toy = make_toy("sequence")
    task = fit_task(toy, tmp_path, replace(toy.panel, weight=np.zeros_like(toy.panel.weight)))
    with pytest.raises(InputError, match="no training row of fold0 has a target and a weight"):
        small().fit(task)
