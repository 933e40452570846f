"""Seasonal naive and group medians against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.folds import Origins
from models.members.catalogue import make_member
from tests.members import Toy, fit_task, make_toy


def predicted(kind: str, toy: Toy, folder: Path, asked: Origins, **settings: Any) -> pd.DataFrame:
    """(row_id, target) of the predictions as rows and columns."""
    task = fit_task(toy, folder)
    member = make_member(kind, settings)
    member.fit(task)
    return member.predict(task, asked, "oof").pivot(index="row_id", columns="target", values="value")


def one_series(values: list[float]) -> tuple[Toy, Origins]:
    """A horizon toy whose first series starts with `values`; its origin comes right after them."""
    toy = make_toy("horizon", missing=False, gaps=False)
    target = toy.panel.target.copy()
    target[: len(values), 0] = values
    return replace(toy, panel=replace(toy.panel, target=target)), Origins(
        np.array([0]), np.array([len(values)])
    )


@pytest.mark.parametrize(
    ("values", "period", "expected"),
    [
        ([1, 2, 3, 4, 5, 6], 3, [4, 5, 6, 4, 5]),
        ([1, 2, 3, 4, 5, 6], 7, [6, 1, 2, 3, 4]),  # the first row has no row a season ago
        ([1, 2, 3, 4, np.nan, 6], 3, [4, 2, 6, 4, 2]),  # the newest known one in its phase
        ([np.nan, 2, 3, np.nan, 5, 6], 6, [6, 2, 3, 4, 5]),  # never known: the newest, or between neighbours
        ([1, 2, 3, 4, 5, 6], 1, [6, 6, 6, 6, 6]),
    ],
)
def test_seasonal_naive_repeats_the_season(
    values: list[float], period: int, expected: list[float], tmp_path: Path
) -> None:
    toy, asked = one_series(values)
    found = predicted("seasonal_naive", toy, tmp_path, asked, period=period)
    assert list(found.index) == list(range(len(values), len(values) + toy.horizon))
    np.testing.assert_array_equal(found[0], expected)


def test_seasonal_naive_takes_the_season_of_the_competition(tmp_path: Path) -> None:
    toy, asked = one_series(list(range(10)))
    assert toy.competition.seasonality == [7]
    np.testing.assert_array_equal(predicted("seasonal_naive", toy, tmp_path, asked)[0], [3, 4, 5, 6, 7])


def test_a_series_without_history_hears_nothing_of_its_neighbour(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    asked = Origins(np.array([1]), toy.panel.offsets[[1]])
    assert (predicted("seasonal_naive", toy, tmp_path, asked) == 0).all(axis=None)


@pytest.mark.parametrize("period", [0, -7])
def test_a_season_has_rows(period: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"seasonal_naive.period: found {period}, expected a whole number"):
        make_member("seasonal_naive", {"period": period}).fit(fit_task(make_toy("horizon"), tmp_path))


@pytest.mark.parametrize("name", ["sequence", "horizon"])
@pytest.mark.parametrize(
    "by", [[], ["promotion"], ["resistance", "promotion"], ["series", "promotion", "price"]]
)
def test_group_median_of_judged_training_rows(name: str, by: list[str], tmp_path: Path) -> None:
    toy = make_toy(name, seed=2)
    panel, fold = toy.panel, toy.fold
    series = panel.series_of_row()
    columns = {
        "series": series,
        "promotion": panel.frame["promotion"].to_numpy(),
        "price": panel.frame["price"].to_numpy(),
        "resistance": panel.static["resistance"].to_numpy()[series],
    }
    train = (
        (np.arange(panel.rows) < fold.train_end[series]) & panel.present & ~panel.test & (panel.weight > 0)
    )
    found = predicted("group_median", toy, tmp_path, fold.asked, by=by)
    for row, value in found.iterrows():
        for target in (0, 1):
            for depth in range(len(by), -1, -1):  # the widest group that is not empty
                group = train & np.isfinite(panel.target[:, target])
                for column in by[:depth]:
                    group &= columns[column] == columns[column][row]
                if group.any():
                    break
            assert value[target] == pytest.approx(np.median(panel.target[group, target]), rel=1e-12)


def test_group_median_refuses_what_is_not_known_where_asked(tmp_path: Path) -> None:
    task = fit_task(make_toy("horizon"), tmp_path)
    for column in ("visitors", "weather"):
        with pytest.raises(InputError, match=f"column '{column}' is known only in the past"):
            make_member("group_median", {"by": [column]}).fit(task)
    with pytest.raises(InputError, match=r"unknown column 'promotoin'; did you mean 'promotion'"):
        make_member("group_median", {"by": ["promotoin"]}).fit(task)
