"""Input columns of a fold: coded, scaled and marked by its training rows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.folds import Fold
from data.inputs import Block, Inputs, build_inputs, training_rows
from data.panel import Panel
from data.schema import Column
from tests.members import CONTEXT, Toy, garbled_from, make_toy


def inputs_of(toy: Toy, *blocks: Block, panel: Panel | None = None, fold: Fold | None = None) -> Inputs:
    return build_inputs(toy.competition, panel or toy.panel, blocks, fold or toy.fold, CONTEXT, toy.horizon)


def rows_of(inputs: Inputs, name: str) -> np.ndarray:
    """(R,) a column of `real` or `category`, without the padding behind the last row."""
    rows = int(inputs.offsets[-1])
    if name in inputs.schema.real:
        return inputs.real[:rows, inputs.schema.real.index(name)]
    return inputs.category[:rows, inputs.schema.category.index(name)]


def column_block(toy: Toy, **columns: np.ndarray) -> Block:
    """Known real columns."""
    return Block(
        tuple(Column(name) for name in columns), np.stack(list(columns.values()), 1).astype(np.float32)
    )


@pytest.mark.parametrize("name", ["sequence", "horizon"])
@pytest.mark.parametrize("seed", range(3))
def test_training_rows_lie_before_train_end_and_are_in_the_training_file(name: str, seed: int) -> None:
    toy = make_toy(name, seed)
    train = training_rows(toy.panel, toy.fold)
    for row in range(toy.panel.rows):
        series = int(toy.panel.series_of_row()[row])
        expected = row < toy.fold.train_end[series] and toy.panel.present[row] and not toy.panel.test[row]
        assert train[row] == expected


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_codes_that_no_training_row_has_become_zero(name: str) -> None:
    """In each fold anew; static ones by the series that have training rows. Sizes stay those of the file."""
    toy = make_toy(name)
    train = training_rows(toy.panel, toy.fold)
    outside = np.flatnonzero(~train & toy.panel.present)
    frame, static = toy.panel.frame.copy(), toy.panel.static.copy()
    frame.loc[frame["holiday"] == 3, "holiday"] = 2
    frame.loc[outside[:5], "holiday"] = 3
    region = np.ones(toy.panel.series, dtype=np.int64)
    unseen = toy.fold.train_end <= toy.panel.offsets[:-1]
    fold = toy.fold
    if not unseen.any():  # a horizon task trains on every series: leave one out
        unseen[-1] = True
        ends = fold.train_end.copy()
        ends[-1] = toy.panel.offsets[-2]
        fold = replace(fold, train_end=ends)
    region[unseen] = 2
    static["region"] = region
    inputs = inputs_of(toy, panel=replace(toy.panel, frame=frame, static=static), fold=fold)
    holiday = rows_of(inputs, "holiday")
    assert (holiday[outside[:5]] == 0).all()
    rest = np.setdiff1d(np.arange(toy.panel.rows), outside[:5])
    np.testing.assert_array_equal(holiday[rest], frame["holiday"].to_numpy()[rest])
    assert inputs.schema.category_size[inputs.schema.category.index("holiday")] == 4
    place = inputs.schema.static_category.index("region")
    np.testing.assert_array_equal(inputs.static_category[:, place], np.where(unseen, 0, 1))
    assert inputs.schema.static_category_size[place] == 3
    np.testing.assert_array_equal(inputs.seen, ~unseen)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_known_columns_are_standardised_by_training_rows(name: str) -> None:
    toy = make_toy(name)
    train = training_rows(toy.panel, toy.fold)
    inputs = inputs_of(toy)
    raw = toy.panel.frame["price"].to_numpy()
    centre, spread = np.nanmean(raw[train]), np.nanstd(raw[train])
    np.testing.assert_allclose(rows_of(inputs, "price"), (raw - centre) / spread, rtol=1e-4, atol=1e-5)
    assert np.isnan(rows_of(inputs, "price")).any(), "missing values are filled when windows are cut"
    for column in range(len(inputs.schema.static_real)):
        if inputs.schema.static_real[column] == "size":
            size = toy.panel.static["size"].to_numpy()
            expected = (size - size[inputs.seen].mean()) / size[inputs.seen].std()
            np.testing.assert_allclose(inputs.static_real[:, column], expected, rtol=1e-4, atol=1e-5)


def test_columns_that_are_not_to_be_scaled_stay_as_they_are() -> None:
    toy = make_toy("horizon")
    values = np.random.default_rng(0).normal(50.0, 9.0, (toy.panel.rows, 4)).astype(np.float32)
    columns = (
        Column("flag", scaled=False),
        Column("ratio", reach=3),
        Column("lag", reach=2, unit="level"),
        Column("change", reach=2, unit="spread"),
    )
    inputs = inputs_of(toy, Block(columns, values))
    for index, column in enumerate(columns):
        np.testing.assert_array_equal(rows_of(inputs, column.name), values[:, index])


def test_constant_and_empty_columns_do_no_harm() -> None:
    toy = make_toy("horizon")
    train = training_rows(toy.panel, toy.fold)
    nothing = np.where(train, np.nan, 7.0)
    inputs = inputs_of(toy, column_block(toy, constant=np.full(toy.panel.rows, 1e6), nothing=nothing))
    assert not rows_of(inputs, "constant").any()
    np.testing.assert_array_equal(rows_of(inputs, "nothing"), nothing.astype(np.float32))
    assert np.isfinite(inputs.real[:, inputs.schema.real.index("missing.nothing")]).all()


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_missing_values_are_marked_once_a_pattern(name: str) -> None:
    toy = make_toy(name)
    train = np.flatnonzero(training_rows(toy.panel, toy.fold))
    outside = np.flatnonzero(~training_rows(toy.panel, toy.fold))
    normal = np.random.default_rng(0).normal(size=(4, toy.panel.rows))
    first, twin, other, later = normal
    first[train[:5]] = twin[train[:5]] = np.nan
    twin[outside[:3]] = np.nan  # only other rows tell first and twin apart
    other[train[2:9]] = np.nan
    later[outside[:3]] = np.nan  # never missing in training
    inputs = inputs_of(toy, column_block(toy, first=first, twin=twin, other=other, later=later))
    marks = [column for column in inputs.schema.real if column.startswith("missing.")]
    assert {"missing.first", "missing.other"} <= set(marks)
    assert not {"missing.twin", "missing.later"} & set(marks)
    np.testing.assert_array_equal(rows_of(inputs, "missing.first"), np.isnan(first))
    np.testing.assert_array_equal(rows_of(inputs, "missing.other"), np.isnan(other))
    roles = dict(zip(inputs.schema.real, inputs.schema.real_role, strict=True))
    assert {roles[mark] for mark in marks} == {"indicator"}


def test_which_columns_there_are_hangs_on_training_rows_only() -> None:
    toy = make_toy("horizon")
    for seed in range(5):
        garbled = garbled_from(toy.panel, toy.fold.train_end, seed)
        assert inputs_of(toy, panel=garbled).schema == inputs_of(toy).schema


def test_static_gaps_are_marked() -> None:
    toy = make_toy("sequence")
    static = toy.panel.static.copy()
    static.loc[1, "size"] = np.nan
    inputs = inputs_of(toy, panel=replace(toy.panel, static=static))
    assert inputs.schema.static_real == ("size", "missing.size")
    assert inputs.static_real[1, 0] == 0.0
    np.testing.assert_array_equal(inputs.static_real[:, 1], np.arange(toy.panel.series) == 1)
    assert np.isfinite(inputs.static_real).all()


def test_known_columns_come_first_and_the_others_by_reach() -> None:
    toy = make_toy("horizon")
    columns = tuple(Column(f"c{reach}", reach=reach) for reach in (7, None, 2, 0, 2, None))
    columns = tuple(column._replace(name=f"{column.name}.{index}") for index, column in enumerate(columns))
    values = np.zeros((toy.panel.rows, len(columns)), dtype=np.float32)
    inputs = inputs_of(toy, Block(columns, values))
    reaches = [-1 if column.reach is None else column.reach for column in inputs.column]
    assert reaches == sorted(reaches)
    assert inputs.known == reaches.count(-1)
    assert tuple(column.name for column in inputs.column) == inputs.schema.real
    for reach in (0, 2, 7):
        assert (rows_of(inputs, f"available.{reach}") == 1).all()
        assert inputs.column[inputs.schema.real.index(f"available.{reach}")].reach == reach
    assert "available.-1" not in inputs.schema.real


def test_a_sequence_task_shows_no_past_and_a_horizon_task_its_targets() -> None:
    sequence, horizon = inputs_of(make_toy("sequence")), inputs_of(make_toy("horizon"))
    assert sequence.schema.context == 0
    assert not sequence.schema.reals("past", "past_target")
    assert sequence.known == len(sequence.column)
    names = [horizon.schema.real[index] for index in horizon.schema.reals("past_target")]
    assert names == ["past.sales", "past.returns"]
    toy = make_toy("horizon")
    np.testing.assert_allclose(rows_of(horizon, "past.sales"), np.log1p(toy.panel.target[:, 0]), rtol=1e-6)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_targets_between_minus_one_and_zero_are_learnt_as_they_are(name: str) -> None:
    toy = make_toy(name)
    toy = replace(toy, panel=replace(toy.panel, target=toy.panel.target / 1e3 - 0.9))
    inputs = inputs_of(toy)
    raw = toy.panel.target[inputs.observed[: toy.panel.rows]]
    assert (raw < 0).mean() > 0.5
    learnt = inputs.target[: toy.panel.rows][inputs.observed[: toy.panel.rows]]
    np.testing.assert_allclose(learnt, np.log1p(raw), rtol=1e-6)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_location_and_scale_are_of_judged_training_rows(name: str) -> None:
    toy = make_toy(name, seed=2)
    train = training_rows(toy.panel, toy.fold) & (toy.panel.weight > 0)
    inputs = inputs_of(toy)
    for target in range(2):
        values = np.log1p(toy.panel.target[train, target])
        assert inputs.location[target] == pytest.approx(np.nanmean(values), rel=1e-5)
        assert inputs.scale[target] == pytest.approx(np.nanstd(values), rel=1e-5)
    rows = toy.panel.rows
    np.testing.assert_array_equal(inputs.observed[:rows], np.isfinite(toy.panel.target))
    assert np.isfinite(inputs.target).all()
    assert not inputs.target[:rows][~inputs.observed[:rows]].any()
    assert not inputs.weight[:rows][~toy.panel.present].any()
    assert (inputs.asked[:rows] == toy.panel.present).all()
    for array in (inputs.real, inputs.category, inputs.target, inputs.observed, inputs.weight, inputs.asked):
        assert not array[rows:].any(), "behind the last row there is nothing"


def test_two_columns_of_one_name_are_an_error() -> None:
    toy = make_toy("horizon")
    with pytest.raises(ValueError, match="two input columns are called 'price'"):
        inputs_of(toy, column_block(toy, price=np.zeros(toy.panel.rows)))


def test_the_series_of_a_row() -> None:
    toy = make_toy("horizon")
    inputs = inputs_of(toy)
    rows = np.random.default_rng(0).permutation(toy.panel.rows)
    np.testing.assert_array_equal(inputs.series_of(rows), toy.panel.series_of_row()[rows])
