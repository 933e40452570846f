"""Quantiles of members that are no networks: learnt, in order, whole after a kill, blind to what is asked."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.folds import Origins
from data.predictions import check_complete
from models.members.base import FitTask, Member
from models.members.boosting import BoostingMember
from models.members.catalogue import make_member, member_class
from tests.members import (
    Killed,
    Toy,
    asked_rows_of,
    fit_task,
    garbled_from,
    killer,
    make_toy,
    more_origins,
    same,
    small_settings,
)

LEVELS = (0.1, 0.5, 0.9)
KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(not there, reason=f"{kind}'s package is not installed"))
    for kind in ("seasonal_naive", "theta", "lightgbm", "xgboost")
    for there in [
        all(importlib.util.find_spec(needed) for needed in (member_class(kind).needs or ("numpy",))[:1])
    ]
]
BOOSTED = KINDS[2:]


def quantile_task(toy: Toy, folder: Path, *given: Any, **changes: Any) -> FitTask:
    task = fit_task(toy, folder, *given, **changes)
    return replace(task, inputs=replace(task.inputs, schema=task.inputs.schema._replace(quantile=LEVELS)))


def small(kind: str, **settings: Any) -> Member:
    return make_member(kind, {**small_settings(kind), **settings})


def wide(table: pd.DataFrame) -> np.ndarray:
    """(keys, 1 + Q): the point, then the quantiles, of every row, origin and target."""
    return table.pivot(index=["row_id", "origin", "target"], columns="quantile", values="value").to_numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_every_asked_row_has_all_quantiles_in_order(kind: str, tmp_path: Path) -> None:
    toy = make_toy("horizon")
    task, member, asked = quantile_task(toy, tmp_path), small(kind), more_origins(toy)
    member.fit(task)
    table = member.predict(task, asked, "oof")
    assert sorted(table["quantile"].unique()) == pytest.approx([0.0, *LEVELS])
    check_complete(table, *asked_rows_of(toy, asked), kind, targets=2)
    value = wide(table)
    assert (np.diff(value[:, 1:], axis=1) >= 0).all()
    # Learnt by l1, or the model's own; but for rows where quantiles crossed and were put in order.
    assert np.isclose(value[:, 0], value[:, 2], rtol=1e-9).mean() > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_see_nothing_from_the_origin_on(kind: str, tmp_path: Path) -> None:
    toy = make_toy("horizon")
    task, member, asked = quantile_task(toy, tmp_path / "clean"), small(kind), toy.fold.asked
    member.fit(task)
    expected = member.predict(task, asked, "oof")
    first = toy.fold.train_end.copy()
    garbled = quantile_task(toy, tmp_path / "garbled", garbled_from(toy.panel, first))
    member.fit(garbled)
    same(member.predict(replace(task, folder=garbled.folder), asked, "oof"), expected)
    first[asked.series] = asked.row
    later = quantile_task(toy, task.folder, garbled_from(toy.panel, first))
    same(member.predict(later, asked, "oof"), expected)


@pytest.mark.parametrize("kind", BOOSTED)
@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_boosted_quantiles_lie_where_they_should(kind: str, name: str, tmp_path: Path) -> None:
    """y is normal(100, 20) in one group and normal(300, 5) in the other: levels and widths are told apart."""
    toy = make_toy(name, missing=False, gaps=False, series=120)
    generator = np.random.default_rng(0)
    high = toy.panel.frame["promotion"].to_numpy() == 1
    centre, spread = np.where(high, 300.0, 100.0), np.where(high, 5.0, 20.0)
    target = centre[:, None] + spread[:, None] * generator.normal(size=(toy.panel.rows, 2))
    toy.competition.target_transform = "none"
    panel = replace(
        toy.panel,
        target=np.where(toy.panel.test[:, None], np.nan, target),
        weight=np.ones(toy.panel.rows, dtype=np.float32),
    )
    settings = {"rounds": 150, "learning_rate": 0.2, "leaves": 2, "feature_fraction": 1.0, "scaling": "none"}
    own = {"least_rows": 20} if kind == "lightgbm" else {"least_weight": 0.0}
    member = small(kind, **settings, **own, seasons=0, objective="l2")
    task = quantile_task(toy, tmp_path, panel)
    member.fit(task)
    table = member.predict(task, toy.fold.asked, "oof")
    value = table[table["target"] == 0].pivot(index="row_id", columns="quantile", values="value")
    asked_high = high[value.index.to_numpy()]
    assert 0 < asked_high.sum() < len(asked_high)
    for group, middle, width in ((asked_high, 300.0, 5.0), (~asked_high, 100.0, 20.0)):
        found = value[group].to_numpy().mean(axis=0)
        expected = middle + width * np.array([0.0, *(NormalDist().inv_cdf(level) for level in LEVELS)])
        np.testing.assert_allclose(found, expected, atol=0.6 * width)


@pytest.mark.parametrize("kind", BOOSTED)
def test_a_finished_booster_outlives_a_kill(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toy = make_toy("horizon")
    asked = toy.fold.asked
    member = small(kind)
    assert isinstance(member, BoostingMember)
    whole = quantile_task(toy, tmp_path / "whole")
    member.fit(whole)
    expected = member.predict(whole, asked, "oof")
    files = {file.name for file in whole.folder.iterdir()}
    assert len(files) == 6, "two targets: the point that is the median, and two quantiles, of each"
    folder = tmp_path / "killed"
    with pytest.raises(Killed):  # at the end of the third booster, before it is written
        member.fit(quantile_task(toy, folder, progress=killer(lambda share, text: share > 0.45)))
    kept = {file: file.stat().st_mtime_ns for file in folder.iterdir() if file.name in files}
    assert len(kept) == 2
    (folder / f".target1.{member.file_format}").write_text("half a booster")
    trained: list[Path] = []
    train = type(member).train

    def counted(self: Any, *given: Any) -> None:
        trained.append(given[-1])
        train(self, *given)

    monkeypatch.setattr(type(member), "train", counted)
    again = quantile_task(toy, folder)
    member.fit(again)
    assert len(trained) == 4
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert {file.name for file in folder.iterdir()} == files
    same(member.predict(again, asked, "oof"), expected)
    member.fit(replace(again, deadline=time.monotonic() - 1.0))
    assert len(trained) == 4, "what is finished is not done again, deadline or not"


def test_recursive_boosting_gives_points_only(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    task, member = quantile_task(toy, tmp_path), small("lightgbm", strategy="recursive")
    member.fit(task)
    assert member.points_only() == "a model of one step has no quantiles"
    assert set(member.predict(task, toy.fold.asked, "oof")["quantile"]) == {0.0}
    assert not small("lightgbm").points_only()


def test_seasonal_naive_quantiles_by_hand(tmp_path: Path) -> None:
    """In transformed units: log1p(y) plus a normal error of sigma * sqrt(k + 1), k whole seasons before."""
    toy = make_toy("horizon", missing=False, gaps=False)
    assert toy.competition.target_transform == "log1p"
    history = np.array([3.0, 8, 5, 4, 9, 6, 7, 12])
    target = toy.panel.target.copy()
    target[: len(history), 0] = history
    weight = np.ones_like(toy.panel.weight)
    target[4, 0], weight[4] = 0.0, 0.0  # a closed day says nothing: its phase repeats the 8 before it
    history[4] = 8.0
    task = quantile_task(toy, tmp_path, replace(toy.panel, target=target, weight=weight))
    asked = Origins(np.array([0]), np.array([len(history)]))
    table = small("seasonal_naive", period=3).predict(task, asked, "oof").query("target == 0")
    found = wide(table)
    level = np.log1p(history)
    sigma = np.sqrt(np.mean((level[3:] - level[:-3]) ** 2))
    point = np.array([6.0, 7, 12, 6, 7])
    np.testing.assert_array_equal(found[:, 0], point)
    for place, q in enumerate(LEVELS):
        error = NormalDist().inv_cdf(q) * sigma * np.sqrt([1, 1, 1, 2, 2])
        np.testing.assert_allclose(found[:, 1 + place], np.expm1(np.log1p(point) + error), rtol=1e-9)
