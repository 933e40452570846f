"""The origin table says the same as windows do: same column, same row, same value, same blanks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.folds import Origins
from data.inputs import Block, Inputs, build_inputs
from data.origin_table import build_origin_table, window_scale
from data.origins import TrainingOrigins
from data.schema import Column
from data.windows import WindowDataset
from tests.members import CONTEXT, Toy, make_toy

#: name, reach, unit, target of made-up columns: as of the origin, within, at the end of and past the horizon.
COLUMNS = [
    Column("known"),
    Column("sum", reach=0),
    Column("lag1", reach=1, unit="level", target=0),
    Column("lag2", reach=2, unit="level", target=1),
    Column("change3", reach=3, unit="spread", target=1),
    Column("lag5", reach=5, unit="spread", target=0),
    Column("lag9", reach=9, unit="level", target=0),
]


def inputs_of(toy: Toy, seed: int = 0) -> Inputs:
    generator = np.random.default_rng(seed)
    values = generator.normal(3.0, 2.0, (toy.panel.rows, len(COLUMNS))).astype(np.float32)
    values[generator.random(values.shape) < 0.1] = np.nan
    columns = COLUMNS if toy.competition.task == "horizon" else COLUMNS[:1]
    block = Block(tuple(columns), values[:, : len(columns)])
    return build_inputs(toy.competition, toy.panel, [block], toy.fold, CONTEXT, toy.horizon)


def same(table: float, window: float) -> bool:
    """A value that a table lacks is zero in a window."""
    return window == 0.0 if np.isnan(table) else bool(np.isclose(table, window, rtol=1e-4, atol=1e-5))


@pytest.mark.parametrize(
    ("name", "seed", "scaling"),
    [
        *[("horizon", seed, scaling) for seed in (0, 1) for scaling in ("auto", "mean", "robust", "none")],
        ("sequence", 0, "auto"),
        ("sequence", 0, "none"),
    ],
)
def test_every_row_agrees_with_its_window(name: str, seed: int, scaling: str) -> None:
    toy = make_toy(name, seed)
    inputs = inputs_of(toy, seed)
    origins = TrainingOrigins(inputs, toy.fold.train_end)
    pairs = origins.origins(np.arange(len(origins)))
    batch = WindowDataset(inputs, scaling).until(toy.fold.train_end)[pairs]
    asked = Origins(pairs[:, 0], pairs[:, 1])
    table = build_origin_table(inputs, asked, scaling, end=toy.fold.train_end)
    assert batch.target is not None
    where = np.argwhere(batch.asked.numpy())
    place = {(int(pairs[b, 1]), int(batch.row_id[b, row])): (b, row) for b, row in where}
    keys = list(zip(table.origin.tolist(), table.row_id.tolist(), strict=True))
    assert sorted(place) == sorted(keys)
    assert len(set(keys)) == len(keys)
    real, schema = batch.real.numpy(), inputs.schema
    column_of = {column: index for index, column in enumerate(table.name)}
    blanked = shown = 0
    past: set[int] = set()
    for number, key in enumerate(keys):
        b, row = place[key]
        origin = int(batch.origin[b])
        step = row - origin + 1
        assert table.step[number] == step
        assert table.series[number] == pairs[b, 0]
        assert table.weight[number] == float(batch.weight[b, row])
        for target in range(2):
            assert np.isclose(table.location[number, target], float(batch.location[b, target]), rtol=1e-4)
            assert np.isclose(table.scale[number, target], float(batch.scale[b, target]), rtol=1e-4)
            assert same(table.target[number, target], float(batch.target[b, row, target]))
        for index, column in enumerate(inputs.column):
            if schema.real_role[index] == "indicator" or column.unit == "own":
                continue
            value = real[b, row, index]
            if column.name in column_of:
                found = table.feature[number, column_of[column.name]]
                assert same(found, value), (column, key)
                if column.reach is not None:
                    assert (step <= column.reach) or np.isnan(found)
                    blanked, shown = blanked + (step > column.reach), shown + (step <= column.reach)
            else:
                assert column.reach == 0
                assert value == 0.0, "a column that reads its own row is blank from the origin on"
            at_origin = column_of.get(f"{column.name}@origin")
            assert (at_origin is None) == (column.reach is None or column.reach >= schema.horizon)
            if at_origin is not None:
                newest = real[b, origin - (column.reach == 0), index]
                assert same(table.feature[number, at_origin], newest), (column, key)
        for index, column_name in enumerate(schema.category):
            if inputs.category_reach[index] is None:
                assert table.feature[number, column_of[column_name]] == batch.category[b, row, index]
            else:  # the newest one that is known at the origin; 0 where nothing is
                assert inputs.category_reach[index] == 0
                assert column_name not in column_of
                newest = batch.category[b, origin - 1, index] if origin else 0
                place_of_it = column_of[f"{column_name}@origin"]
                assert place_of_it in table.categorical
                assert table.feature[number, place_of_it] == newest
                past.add(int(newest))
        for index, column_name in enumerate(schema.static_category):
            assert table.feature[number, column_of[column_name]] == batch.static_category[b, index]
        for index, column_name in enumerate(schema.static_real):
            assert same(table.feature[number, column_of[column_name]], float(batch.static_real[b, index]))
    if name == "horizon":
        assert len(past) > 1, "a category of the past is there, and changes"
        assert blanked > 100
        assert shown > 100


def test_columns_of_codes_are_named() -> None:
    toy = make_toy("horizon")
    inputs = inputs_of(toy)
    table = build_origin_table(inputs, toy.fold.asked)
    assert {table.name[index] for index in table.categorical} == {
        "resistance",
        "region",
        "promotion",
        "holiday",
        "weather@origin",
    }
    assert len(set(table.name)) == len(table.name)
    chosen = build_origin_table(inputs, toy.fold.asked, names=["price", "lag1"])
    assert set(chosen.name) == {"price", "lag1"}
    for name in chosen.name:
        np.testing.assert_array_equal(
            chosen.feature[:, chosen.name.index(name)], table.feature[:, table.name.index(name)]
        )


def test_history_columns_by_hand() -> None:
    """The newest values, and those of the row's own phase in the seasons before."""
    toy = make_toy("horizon", missing=False, gaps=False, equal=True)
    panel = replace(toy.panel, weight=np.ones_like(toy.panel.weight))
    inputs = build_inputs(toy.competition, panel, [], toy.fold, CONTEXT, toy.horizon)
    table = build_origin_table(inputs, toy.fold.asked, "none", tail=3, seasons=2)
    [period] = inputs.schema.seasonality
    found = {name: table.feature[:, index] for index, name in enumerate(table.name)}
    transformed = np.log1p(toy.panel.target)
    for number, (row, origin, series) in enumerate(
        zip(table.row_id, table.origin, table.series, strict=True)
    ):
        begin = toy.panel.offsets[series]
        for target, name in enumerate(toy.panel.target_name):
            for back in (1, 2, 3):
                assert np.isclose(found[f"{name}.last{back}"][number], transformed[origin - back, target])
            phase = [r for r in range(row, begin - 1, -period) if r >= begin and r < origin][:2]
            values = transformed[phase, target]
            assert np.isclose(found[f"{name}.phase{period}"][number], values[0])
            assert np.isclose(found[f"{name}.phase{period}.mean2"][number], values.mean())


def test_unjudged_and_missing_history_is_missing() -> None:
    toy = make_toy("horizon", seed=1)
    inputs = build_inputs(toy.competition, toy.panel, [], toy.fold, CONTEXT, toy.horizon)
    table = build_origin_table(inputs, toy.fold.asked, "none", tail=4)
    transformed = np.log1p(toy.panel.target)
    missing = 0
    for target, name in enumerate(toy.panel.target_name):
        for back in range(1, 5):
            values = table.feature[:, table.name.index(f"{name}.last{back}")]
            rows = table.origin - back
            known = (rows >= toy.panel.offsets[table.series]) & (toy.panel.weight[rows] > 0)
            known &= np.isfinite(transformed[rows, target])
            np.testing.assert_allclose(values[known], transformed[rows[known], target], rtol=1e-5)
            assert np.isnan(values[~known]).all()
            missing += int((~known).sum())
    assert missing > 0


def test_a_longer_context_scales_by_more_rows() -> None:
    toy = make_toy("horizon", seed=3)
    inputs = inputs_of(toy)
    for context in (3, CONTEXT, 1000):
        location, scale = window_scale(inputs, toy.fold.asked, "standard", context, chunk=2)
        for number, (series, origin) in enumerate(zip(*toy.fold.asked, strict=True)):
            rows = np.arange(max(toy.panel.offsets[series], origin - context), origin)
            for target in range(2):
                counted = inputs.observed[rows, target] & (inputs.weight[rows] > 0)
                values = inputs.target[rows[counted], target]
                if len(values) > 1:
                    assert location[number, target] == pytest.approx(values.mean(), rel=1e-4)
                    assert scale[number, target] == pytest.approx(values.std(), rel=1e-3)
                elif not len(values):
                    assert (location[number, target], scale[number, target]) == (0.0, 1.0)


def test_windows_until_train_end_hold_no_later_row() -> None:
    """A series too short for a whole horizon gives a window of what lies before its end."""
    toy = make_toy("horizon")
    inputs = inputs_of(toy)
    end = np.minimum(toy.fold.train_end, toy.panel.offsets[:-1] + 3)
    origins = TrainingOrigins(inputs, end)
    pairs = origins.origins(np.arange(len(origins)))
    whole = WindowDataset(inputs)
    cut, before = whole.until(end)[pairs], whole[pairs]
    assert cut.target is not None
    row = torch.from_numpy(pairs[:, 1])[:, None] - cut.origin[:, None] + torch.arange(inputs.schema.length)
    late = row >= torch.from_numpy(end[pairs[:, 0]])[:, None]
    assert (before.weight[late] > 0).any(), "the windows would reach beyond, else this says nothing"
    for name in ("real", "category", "asked", "weight", "target", "time"):
        assert not getattr(cut, name)[late].any(), name
    assert (cut.row_id[late] == -1).all()
    for name in ("real", "weight", "target", "row_id"):
        torch.testing.assert_close(getattr(cut, name)[~late], getattr(before, name)[~late], rtol=0, atol=0)
