"""Windows: what stands where, padding, blanking, scaling and the drawing of origins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.folds import Fold
from data.inputs import Inputs, build_inputs
from data.origins import OriginSampler, TrainingOrigins
from data.panel import Panel
from data.scaling import forward_transform, inverse_transform
from data.split import make_split
from data.windows import WindowDataset
from tests.panels import HORIZON, make_panel

CONTEXT = 9


def toy(task: str, seed: int = 0) -> tuple[Panel, Fold, Inputs]:
    competition, panel = make_panel(task, seed=seed)
    sequence = task == "sequence"
    competition.folds.kind = "grouped" if sequence else "rolling"
    competition.folds.count, competition.folds.step = (2, None) if sequence else (1, HORIZON)
    fold = make_split(competition, panel).folds[0]
    horizon = int(np.diff(panel.offsets).max()) if sequence else HORIZON
    return panel, fold, build_inputs(competition, panel, [], fold, CONTEXT, horizon)


def windows_of(inputs: Inputs, fold: Fold, scaling: str = "auto") -> tuple[np.ndarray, WindowDataset]:
    origins = TrainingOrigins(inputs, fold.train_end)
    return origins.origins(np.arange(len(origins))), WindowDataset(inputs, scaling)


@pytest.mark.parametrize("task", ["sequence", "horizon"])
@pytest.mark.parametrize("seed", range(3))
def test_every_field_agrees_with_the_panel(task: str, seed: int) -> None:
    panel, fold, inputs = toy(task, seed)
    pairs, dataset = windows_of(inputs, fold)
    batch = dataset[pairs]
    price = inputs.schema.real.index("price")
    for index, (series, origin_row) in enumerate(pairs):
        context = 0 if task == "sequence" else CONTEXT
        first = max(panel.offsets[series], origin_row - context)
        last = min(panel.offsets[series + 1], origin_row + inputs.schema.horizon)
        rows = np.arange(first, last)
        assert int(batch.length[index]) == len(rows)
        assert int(batch.origin[index]) == origin_row - first
        used = slice(0, len(rows))
        np.testing.assert_array_equal(batch.time[index, used], panel.time[rows])
        asked = (rows >= origin_row) & panel.present[rows]
        np.testing.assert_array_equal(batch.asked[index, used], asked)
        np.testing.assert_array_equal(batch.row_id[index, used], np.where(asked, rows, -1))
        known = np.isfinite(panel.target[rows]).all(1)
        np.testing.assert_allclose(batch.weight[index, used], panel.weight[rows] * asked * known)
        counted = (rows < origin_row) & known & panel.present[rows] & (panel.weight[rows] > 0)
        np.testing.assert_array_equal(batch.counted_past()[index, used], counted)
        assert not batch.counted_past()[index, len(rows) :].any()
        expected = np.nan_to_num(inputs.real[rows, price], nan=0.0)
        np.testing.assert_array_equal(batch.real[index, used, price], expected)
        # target: invert scale and transform, and the raw values are back
        scaled = (
            batch.target[index, used].numpy() * batch.scale[index].numpy() + batch.location[index].numpy()
        )
        raw = inverse_transform("log1p", scaled.astype(np.float64))
        truth = panel.target[rows]
        np.testing.assert_allclose(raw[np.isfinite(truth)], truth[np.isfinite(truth)], rtol=2e-4)
        rest = slice(len(rows), None)
        for name in ("real", "category", "weight", "time", "target"):
            assert not getattr(batch, name)[index, rest].any(), f"{name} is not blank in padding"
        assert not batch.asked[index, rest].any()
        assert (batch.row_id[index, rest] == -1).all()
    for field in batch:
        assert field is None or torch.isfinite(field.float()).all()


def test_past_columns_are_blank_from_the_origin_on_and_say_so() -> None:
    _, fold, inputs = toy("horizon")
    pairs, dataset = windows_of(inputs, fold)
    batch = dataset[pairs]
    available = inputs.schema.real.index("available.0")
    past = batch.past() & batch.used()
    assert torch.equal(batch.real[:, :, available].bool(), past)
    for index in inputs.schema.reals("past", "past_target"):
        assert not batch.real[:, :, index][~past].any(), inputs.schema.real[index]
    weather = inputs.schema.category.index("weather")
    assert not batch.category[:, :, weather][~past].any()
    assert batch.category[:, :, weather][past].any()


def test_a_short_and_a_full_batch_give_the_same_window() -> None:
    """The fast path (all windows full, one origin place) and the general one agree."""
    _, fold, inputs = toy("horizon", seed=2)
    pairs, dataset = windows_of(inputs, fold)
    lengths = dataset[pairs].length
    full = pairs[(lengths == inputs.schema.length).numpy()]
    short = pairs[(lengths < inputs.schema.length).numpy()][:1]
    assert len(full) > 0
    assert len(short) > 0
    alone, mixed = dataset[full], dataset[np.concatenate([short, full])]
    for name, first, second in zip(alone._fields, alone, mixed, strict=True):
        torch.testing.assert_close(first, second[1:], msg=name)


def test_scaling_uses_judged_rows_before_the_origin_only() -> None:
    panel, fold, inputs = toy("horizon", seed=4)
    pairs, dataset = windows_of(inputs, fold, "standard")
    batch = dataset[pairs]
    transformed = forward_transform("log1p", panel.target)
    for index, (series, origin_row) in enumerate(pairs):
        rows = np.arange(max(panel.offsets[series], origin_row - CONTEXT), origin_row)
        rows = rows[(panel.weight[rows] > 0) & panel.present[rows]]
        values = transformed[rows, 0]
        values = values[np.isfinite(values)]
        if len(values) > 1 and values.std() > 1e-3:
            assert float(batch.location[index, 0]) == pytest.approx(values.mean(), rel=1e-4)
            assert float(batch.scale[index, 0]) == pytest.approx(values.std(), rel=1e-3)
    assert (batch.scale > 0).all()


def test_training_origins_keep_their_horizon_inside_the_training_part() -> None:
    panel, fold, inputs = toy("horizon")
    pairs, _ = windows_of(inputs, fold)
    begin, end = panel.offsets[pairs[:, 0]], fold.train_end[pairs[:, 0]]
    long_enough = end - begin > HORIZON + 1
    assert (pairs[:, 1] > begin).all()
    assert (pairs[long_enough, 1] + HORIZON <= end[long_enough]).all()
    assert len(np.unique(pairs[:, 1])) == len(pairs)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 100))
def test_strided_origins_are_every_kth_back_from_the_last(stride: int, seed: int) -> None:
    _, fold, inputs = toy("horizon", seed % 5)
    origins = TrainingOrigins(inputs, fold.train_end)
    everything = origins.origins(np.arange(len(origins)))
    strided = origins.strided(stride)
    for series in np.unique(everything[:, 0]):
        expected = everything[everything[:, 0] == series, 1][::-1][::stride]
        np.testing.assert_array_equal(strided[strided[:, 0] == series, 1], expected)


def test_epochs_depend_on_seed_and_number_alone() -> None:
    _, fold, inputs = toy("horizon")
    origins = TrainingOrigins(inputs, fold.train_end)

    def draw(seed: int, epoch: int, half_life: float = 0.0) -> list[np.ndarray]:
        sampler = OriginSampler(origins, 4, 16, seed, half_life=half_life)
        sampler.set_epoch(epoch)
        assert len(list(sampler)) == len(sampler)
        return list(sampler)

    for half_life in (0.0, 5.0):
        np.testing.assert_array_equal(draw(1, 3, half_life), draw(1, 3, half_life))
        assert not np.array_equal(draw(1, 3, half_life), draw(1, 4, half_life))
        assert not np.array_equal(draw(1, 3, half_life), draw(2, 3, half_life))


def test_recency_halves_the_odds_each_half_life() -> None:
    _, fold, inputs = toy("horizon", seed=1)
    origins = TrainingOrigins(inputs, fold.train_end)
    drawn = origins.sample(40_000, np.random.default_rng(0), half_life=4.0)
    series = int(np.argmax(np.bincount(drawn[:, 0])))
    rows, count = np.unique(drawn[drawn[:, 0] == series, 1], return_counts=True)
    last = rows.max()
    recent, older = count[rows == last][0], count[rows == last - 4][0]
    assert older / recent == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("task", ["sequence", "horizon"])
def test_unjudged_rows_may_weigh_in_a_fit(task: str) -> None:
    """Those that are asked and known; location, scale and everything else stay."""
    panel, fold, inputs = toy(task)
    pairs, dataset = windows_of(inputs, fold)
    batch, more = dataset[pairs], dataset.with_unjudged(0.25)[pairs]
    row = batch.row_id.numpy()
    known = np.isfinite(panel.target).all(1)[np.maximum(row, 0)]
    unjudged = batch.asked.numpy() & known & (panel.weight[np.maximum(row, 0)] == 0)
    assert unjudged.any()
    np.testing.assert_array_equal(more.weight, np.where(unjudged, 0.25, batch.weight))
    for name, first, second in zip(batch._fields, batch, more, strict=True):
        if name == "counted" and task == "sequence":
            assert first is second is None
        elif name != "weight":
            assert torch.equal(first, second), name  # type: ignore[arg-type]


@pytest.mark.parametrize("scaling", ["standard", "none", "constant"])
def test_which_past_rows_count_does_not_hang_on_the_scaling(scaling: str) -> None:
    _, fold, inputs = toy("horizon", seed=4)
    pairs, dataset = windows_of(inputs, fold, scaling)
    found = dataset[pairs].counted
    assert found is not None
    assert torch.equal(found, WindowDataset(inputs)[pairs].counted)  # type: ignore[arg-type]
    assert found.any()
    assert (dataset[pairs].past() & ~found).any()
