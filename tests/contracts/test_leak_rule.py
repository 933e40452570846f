"""The leak rule, over features and windows together: what lies at or after the origin changes no input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.competition import Competition
from data.folds import Fold, Origins
from data.history_columns import GrowingTail
from data.inputs import Block, build_inputs, training_rows
from data.origin_table import build_origin_table, window_scale
from data.origins import TrainingOrigins
from data.panel import Panel
from data.split import make_split
from data.windows import WindowDataset
from features.base import FEATURES
from tests.panels import HORIZON, make_panel

CONTEXT = 9


def blocks(competition: Competition, panel: Panel, fold: Fold) -> list[Block]:
    """The columns of every registered family that applies to the competition."""
    made = []
    for _, family in FEATURES.items():
        small = family.small(competition)
        if small is None:
            continue
        feature = family(**{name: tuple(v) if isinstance(v, list) else v for name, v in small.items()})
        parameters = feature.fit(competition, panel, training_rows(panel, fold))
        columns = feature.columns(competition, panel)
        made.append(Block(columns, feature.transform(competition, panel, parameters)))
    return _distinct(made)


def _distinct(made: list[Block]) -> list[Block]:
    """Columns of two families may have one name in this test; they are told apart by a number."""
    return [
        Block(
            tuple(column._replace(name=f"{number}.{column.name}") for column in block.columns), block.values
        )
        for number, block in enumerate(made)
    ]


def garbled(panel: Panel, row: int, seed: int) -> Panel:
    """Raw targets and past-only values of the row's series, from the row on, replaced by nonsense."""
    generator = np.random.default_rng(seed)
    series = int(np.searchsorted(panel.offsets, row, side="right") - 1)
    rows = np.arange(row, panel.offsets[series + 1])
    target, frame, weight = panel.target.copy(), panel.frame.copy(), panel.weight.copy()
    target[rows] = np.where(
        np.isfinite(target[rows]), generator.gamma(9.0, 900.0, target[rows].shape), np.nan
    )
    weight[rows] = generator.integers(0, 2, len(rows))
    if "visitors" in frame:
        frame.loc[rows, "visitors"] = generator.normal(1e4, 1e3, len(rows))
        frame.loc[rows, "weather"] = generator.integers(0, 4, len(rows))
    return replace(panel, target=target, frame=frame, weight=weight)


def inputs_of(competition: Competition, panel: Panel, fold: Fold, with_features: bool = True):  # type: ignore[no-untyped-def]
    made = blocks(competition, panel, fold) if with_features else []
    return build_inputs(competition, panel, made, fold, CONTEXT, HORIZON)


def differing(first: WindowDataset, second: WindowDataset, chosen: np.ndarray) -> list[str]:
    """Names of the inputs of the windows `chosen` that are not the same in both.

    Columns are compared by name: which `missing.` indicators a fold has depends on its training rows as a
    whole, and a constant of the fold tells nothing about one window.
    """
    before, after = first[chosen], second[chosen]
    fields = ("static_real", "static_category", "location", "scale", "time", "length", "origin", "asked")
    names = [name for name in fields if not torch.equal(getattr(before, name), getattr(after, name))]
    if not torch.equal(before.counted_past(), after.counted_past()):
        names.append("counted")
    for field in ("real", "category"):
        ours, theirs = getattr(first.schema, field), getattr(second.schema, field)
        names += [name for name in set(ours) ^ set(theirs) if not name.startswith("missing.")]
        for name in set(ours) & set(theirs):
            old = getattr(before, field)[:, :, ours.index(name)]
            if not torch.equal(old, getattr(after, field)[:, :, theirs.index(name)]):
                names.append(name)
    return names


@pytest.fixture(scope="module")
def horizon_toy() -> tuple[Competition, Panel, Fold]:
    competition, panel = make_panel("horizon", seed=3)
    competition.folds.count, competition.folds.step = 1, HORIZON
    return competition, panel, make_split(competition, panel).folds[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["standard", "mean", "robust", "none"]))
def test_training_windows_see_nothing_from_their_origin_on(seed: int, scaling: str) -> None:
    """In training windows too: any origin, everything from it on garbled, not one input moves."""
    competition, panel = make_panel("horizon", seed=seed % 7)
    competition.folds.count, competition.folds.step = 1, HORIZON
    fold = make_split(competition, panel).folds[0]
    inputs = inputs_of(competition, panel, fold)
    origins = TrainingOrigins(inputs, fold.train_end)
    chosen = origins.origins(np.array([seed % len(origins)]))
    changed = inputs_of(competition, garbled(panel, int(chosen[0, 1]), seed), fold)
    assert differing(WindowDataset(inputs, scaling), WindowDataset(changed, scaling), chosen) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_origin_tables_see_nothing_from_their_origin_on(seed: int) -> None:
    competition, panel = make_panel("horizon", seed=seed % 7)
    competition.folds.count, competition.folds.step = 1, HORIZON
    fold = make_split(competition, panel).folds[0]
    inputs = inputs_of(competition, panel, fold)
    origins = TrainingOrigins(inputs, fold.train_end)
    [chosen] = origins.origins(np.array([seed % len(origins)]))
    asked = Origins(chosen[:1], chosen[1:])
    changed = inputs_of(competition, garbled(panel, int(chosen[1]), seed), fold)
    for one_step in (False, True):
        before = build_origin_table(inputs, asked, tail=4, seasons=2, one_step=one_step)
        after = build_origin_table(changed, asked, tail=4, seasons=2, one_step=one_step)
        assert before.name == after.name
        for index, name in enumerate(before.name):
            np.testing.assert_array_equal(before.feature[:, index], after.feature[:, index], err_msg=name)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_a_growing_tail_holds_nothing_from_its_origin_on(seed: int) -> None:
    """Before a forecast is put there: on every step of the horizon, for every column."""
    competition, panel = make_panel("horizon", seed=seed % 7)
    competition.folds.count, competition.folds.step = 1, HORIZON
    fold = make_split(competition, panel).folds[0]
    inputs = inputs_of(competition, panel, fold, with_features=False)
    origins = TrainingOrigins(inputs, fold.train_end)
    [chosen] = origins.origins(np.array([seed % len(origins)]))
    asked = Origins(chosen[:1], chosen[1:])
    changed = inputs_of(competition, garbled(panel, int(chosen[1]), seed), fold, with_features=False)
    tails = [
        GrowingTail(one, asked, *window_scale(one, asked, "standard"), tail=4, seasons=2)
        for one in (inputs, changed)
    ]
    for step in range(1, HORIZON + 1):
        columns = [dict(tail.columns(step, np.array([0]))) for tail in tails]
        assert columns[0].keys() == columns[1].keys()
        for name in columns[0]:
            np.testing.assert_array_equal(columns[0][name], columns[1][name], err_msg=f"{name}, step {step}")
        assert all(np.isnan(columns[0][f"sales.last{back}"]).all() for back in range(1, min(step, 5)))


def test_the_test_can_fail(horizon_toy: tuple[Competition, Panel, Fold]) -> None:
    """A column that lies about its reach is caught."""
    competition, panel, fold = horizon_toy
    row = int(fold.asked.row[0])

    def lying(chosen: Panel) -> Block:
        from data.schema import Column

        return Block((Column("liar", scaled=False),), np.nan_to_num(chosen.target[:, :1]).astype(np.float32))

    asked = np.array([[fold.asked.series[0], row]])
    first, second = (
        WindowDataset(build_inputs(competition, chosen, [lying(chosen)], fold, CONTEXT, HORIZON))
        for chosen in (panel, garbled(panel, row, 1))
    )
    assert differing(first, second, asked) == ["liar"]


def test_sequence_windows_do_not_see_their_own_target() -> None:
    """A training group's own target is in none of its inputs, out-of-fold encodings included.

    Without the constant scaling, whose two numbers are of all training rows together.
    """
    competition, panel = make_panel("sequence", seed=5)
    competition.folds.kind, competition.folds.count = "grouped", 2
    fold = make_split(competition, panel).folds[0]
    series = int(np.flatnonzero(fold.train_end > panel.offsets[:-1])[0])
    row = int(panel.offsets[series])
    chosen = np.array([[series, row]])
    inputs = inputs_of(competition, panel, fold)
    weight_kept = replace(garbled(panel, row, 2), weight=panel.weight)
    changed = inputs_of(competition, weight_kept, fold)
    assert differing(WindowDataset(inputs, "none"), WindowDataset(changed, "none"), chosen) == []


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_inputs_learn_nothing_from_rows_outside_the_training_part(task: str) -> None:
    """Known columns of validation and test rows move no scaling of any other row."""
    competition, panel = make_panel(task, seed=1)
    competition.folds.kind = "grouped" if task == "sequence" else "rolling"
    competition.folds.count, competition.folds.step = (2, None) if task == "sequence" else (1, HORIZON)
    fold = make_split(competition, panel).folds[0]
    outside = np.flatnonzero(~training_rows(panel, fold))
    frame = panel.frame.copy()
    frame.loc[outside, "price"] = 1e6
    first = inputs_of(competition, panel, fold, with_features=False)
    second = inputs_of(competition, replace(panel, frame=frame), fold, with_features=False)
    inside = np.setdiff1d(np.arange(panel.rows), outside)
    np.testing.assert_array_equal(first.real[inside], second.real[inside])
    np.testing.assert_array_equal(first.location, second.location)
