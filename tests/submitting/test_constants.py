"""What is kept of a fit so that other rows can be forecast: scales of inputs, features, the blender."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import InputError
from data.input_constants import InputConstants
from data.input_scaling import INPUT_SCALINGS, Scaler, fit_scaler
from data.inputs import Block, Inputs, build_inputs, training_rows
from data.panel import Panel
from data.schema import Column
from features.base import FEATURES
from models.blenders.base import BLENDERS
from pipeline.submitting.new_rows import recoded
from tests.contracts.test_all_blenders import NAMES, grouped, problem
from tests.members import CONTEXT, Toy, make_toy


def inputs_of(
    toy: Toy, panel: Panel, constants: InputConstants | None = None, scaling: str = "standard"
) -> Inputs:
    """With a known column and one of the past, both of which have gaps."""
    values = np.random.default_rng(1).normal(3, 2, (panel.rows, 2)).astype(np.float32)
    values[::7] = np.nan
    block = Block((Column("tides"), Column("sold", reach=1, unit="own")), values)
    return build_inputs(
        toy.competition, panel, [block], toy.fold, CONTEXT, toy.horizon, scaling=scaling, constants=constants
    )


def assert_same(one: Inputs, other: Inputs) -> None:
    assert one.schema == other.schema
    for name in ("real", "category", "static_real", "static_category", "location", "scale", "target"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
@pytest.mark.parametrize("scaling", list(INPUT_SCALINGS))
def test_stored_constants_scale_to_the_last_bit(name: str, scaling: str, tmp_path: Path) -> None:
    toy = make_toy(name)
    learnt = inputs_of(toy, toy.panel, scaling=scaling)
    learnt.constants.save(tmp_path / "inputs.npz")
    stored = InputConstants.load(tmp_path / "inputs.npz")
    assert_same(inputs_of(toy, toy.panel, stored, scaling), learnt)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_with_constants_nothing_is_learnt(name: str) -> None:
    """Training rows of ten times the size: scales, indicators and known codes stay those of the fit."""
    toy = make_toy(name)
    learnt = inputs_of(toy, toy.panel)
    train = training_rows(toy.panel, toy.fold)
    frame, target = toy.panel.frame.copy(), toy.panel.target.copy()
    for column in frame.columns:
        if frame[column].dtype.kind == "f":
            frame.loc[train, column] = 10 * frame.loc[train, column] + 5
    target[train] = 10 * target[train] + 5
    panel = replace(toy.panel, frame=frame, target=target)
    assert not np.array_equal(inputs_of(toy, panel).location, learnt.location)
    found = inputs_of(toy, panel, learnt.constants)
    assert found.schema == learnt.schema
    np.testing.assert_array_equal(found.location, learnt.location)
    rows = np.flatnonzero(~train)
    known = found.known
    np.testing.assert_array_equal(found.real[rows, :known], learnt.real[rows, :known])
    np.testing.assert_array_equal(found.static_real, learnt.static_real)


def test_other_columns_than_those_of_the_fit_are_refused() -> None:
    toy = make_toy("horizon")
    constants = inputs_of(toy, toy.panel).constants
    names = list(constants.columns)
    sizes = {name: len(seen) for name, seen in constants.category.items()}
    constants.check(names, sizes)
    with pytest.raises(InputError, match="column 'waves' was not there"):
        constants.check([*names, "waves"], sizes)
    with pytest.raises(InputError, match="column 'tides' is missing"):
        constants.check([name for name in names if name != "tides"], sizes)
    first = next(iter(sizes))
    with pytest.raises(InputError, match=f"column '{first}' has 99 categories; the models were fitted on"):
        constants.check(names, {**sizes, first: 99})


def test_a_stored_quantile_scaler_is_scikit_learn_s(tmp_path: Path) -> None:
    values = np.random.default_rng(0).gamma(2.0, size=500).astype(np.float32)
    scaler = fit_scaler("quantile", values)
    InputConstants(scaler={"a/b": scaler, "none": Scaler()}).save(tmp_path / "x.npz")
    stored = InputConstants.load(tmp_path / "x.npz").scaler
    assert stored["none"].kind == "none"
    np.testing.assert_array_equal(stored["a/b"](values), scaler(values))
    assert abs(float(scaler(values).mean())) < 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["rmse"])
def test_a_stored_blender_blends_to_the_last_bit(name: str, metric: str) -> None:
    data = grouped(problem(metric))
    blender = BLENDERS.get(name)()
    blender.fit(data)
    state = json.loads(json.dumps(blender.state(), allow_nan=False))
    again = BLENDERS.get(name).from_state(state)
    np.testing.assert_array_equal(
        again.predict(data.value, data.rows), blender.predict(data.value, data.rows)
    )
    names = [str(number) for number in range(data.members)]
    assert again.weights(names) == blender.weights(names)


def test_codes_are_those_of_the_fitted_panel() -> None:
    toy = make_toy("horizon")
    fitted = replace(toy.panel, categories={**toy.panel.categories, "holiday": ["a", "b", "c"]})
    frame = toy.panel.frame.assign(holiday=np.resize([0, 1, 2, 3], toy.panel.rows).astype(np.int32))
    new = replace(toy.panel, frame=frame, categories={**toy.panel.categories, "holiday": ["c", "x", "a"]})
    found = recoded(new, fitted)
    np.testing.assert_array_equal(found.frame["holiday"], np.resize([0, 3, 0, 1], toy.panel.rows))
    assert found.categories["holiday"] == ["a", "b", "c"]
    assert any("'x' was not there when the models were fitted" in note for note in found.notes)


def test_target_encoding_of_new_series_is_that_of_all_parts() -> None:
    toy = make_toy("sequence")
    feature = FEATURES.get("target_encoding")(position=True, folds=3)  # type: ignore[call-arg]
    learnt = feature.fit(toy.competition, toy.panel, training_rows(toy.panel, toy.fold))
    same = feature.moved(learnt, np.arange(toy.panel.series))
    np.testing.assert_array_equal(same["part"], learnt["part"])
    number = np.arange(toy.panel.series)[::-1].copy()
    number[0] = -1
    moved = feature.moved(learnt, number)["part"]
    assert moved[0] == 3
    np.testing.assert_array_equal(moved[1:], learnt["part"][::-1][1:])
