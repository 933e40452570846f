"""The parts of a competition: ends of history, the horizon, hold-outs by group, and how they are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.competition import Folds, Local
from data.errors import InputError
from data.folds import Fold
from data.split import history_end, horizon_of, load_split, make_split, save_split
from tests.panels import HORIZON, make_panel


def test_history_ends_after_the_last_row_of_the_training_file() -> None:
    competition, panel = make_panel("horizon", gaps=False)
    np.testing.assert_array_equal(history_end(panel), panel.offsets[1:] - HORIZON)
    present = panel.present.copy()
    present[panel.offsets[1] - HORIZON - 2 : panel.offsets[1] - HORIZON] = False
    end = history_end(replace(panel, present=present))
    assert end[0] == panel.offsets[1] - HORIZON - 2
    assert competition.task == "horizon"


def test_groups_of_the_test_file_have_no_history() -> None:
    _, panel = make_panel("sequence")
    test = panel.test[panel.offsets[:-1]]
    assert test.any()
    expected = np.where(test, panel.offsets[:-1], panel.offsets[1:])
    np.testing.assert_array_equal(history_end(panel), expected)


def test_the_horizon_is_declared_or_as_long_as_the_test_file_asks() -> None:
    competition, panel = make_panel("horizon", gaps=False)
    competition.horizon = 3
    assert horizon_of(competition, panel) == 3
    competition.horizon = None
    assert horizon_of(competition, panel) == HORIZON
    with pytest.raises(InputError, match="not declared, and there are no test rows"):
        horizon_of(competition, replace(panel, test=np.zeros_like(panel.test)))
    competition, panel = make_panel("sequence")
    assert horizon_of(competition, panel) == np.diff(panel.offsets).max()


def same(first: Fold | None, second: Fold | None) -> None:
    assert first is not None
    assert second is not None
    assert (first.index, first.name, first.label) == (second.index, second.name, second.label)
    np.testing.assert_array_equal(first.train_end, second.train_end)
    np.testing.assert_array_equal(first.asked.series, second.asked.series)
    np.testing.assert_array_equal(first.asked.row, second.asked.row)


@pytest.mark.parametrize("hold_out", [True, False])
def test_stored_and_read_again(hold_out: bool, tmp_path: Path) -> None:
    """In the same order, with more than ten folds."""
    competition, panel = make_panel("sequence", series=40)
    competition.folds = Folds(kind="grouped", count=12)
    if hold_out:
        competition.local = Local(kind="groups", share=0.2)
    split = make_split(competition, panel)
    save_split(split, tmp_path)
    again = load_split(tmp_path)
    assert len(again.folds) == 12
    for first, second in zip(split.folds, again.folds, strict=True):
        same(first, second)
    same(split.test, again.test)
    if hold_out:
        same(split.local, again.local)
    else:
        assert again.local is None


@pytest.mark.parametrize("seed", range(5))
def test_a_hold_out_keeps_groups_whole(seed: int) -> None:
    competition, panel = make_panel("sequence", series=30)
    static = panel.static.copy()
    static["region"] = np.arange(30) // 3
    panel = replace(
        panel, static=static, categories={**panel.categories, "region": [str(n) for n in range(10)]}
    )
    competition.folds = Folds(kind="grouped", count=2, group=["region"], seed=seed)
    competition.local = Local(kind="groups", share=0.3)
    split = make_split(competition, panel)
    assert split.local is not None
    region = static["region"].to_numpy()
    held = set(region[split.local.asked.series])
    assert len(held) == 2  # 0.3 of the 7 groups with training rows
    open_series = np.flatnonzero(history_end(panel) > panel.offsets[:-1])
    expected = [series for series in open_series if region[series] in held]
    np.testing.assert_array_equal(split.local.asked.series, expected)
    for fold in split.folds:
        assert not held & set(region[fold.asked.series])


def test_a_hold_out_depends_on_the_seed_alone() -> None:
    competition, panel = make_panel("sequence", series=40)
    competition.folds = Folds(kind="grouped", count=3)
    competition.local = Local(kind="groups", share=0.25)
    first = make_split(competition, panel).local
    competition.folds.count = 5
    same(first, make_split(competition, panel).local)
    competition.folds.seed = 1
    other = make_split(competition, panel).local
    assert first is not None
    assert other is not None
    assert len(first.asked.series) == len(other.asked.series)
    assert not np.array_equal(first.asked.series, other.asked.series)


@pytest.mark.parametrize("kind", ["none", "solution"])
def test_no_hold_out_leaves_everything_to_the_folds(kind: str) -> None:
    competition, panel = make_panel("horizon", gaps=False)
    competition.local = Local(kind=kind)
    competition.folds.count = 1
    split = make_split(competition, panel)
    assert split.local is None
    np.testing.assert_array_equal(
        split.folds[0].asked.row, panel.offsets[1:][split.folds[0].asked.series] - 2 * HORIZON
    )
