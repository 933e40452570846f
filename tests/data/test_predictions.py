"""Prediction tables: what is missing, doubled or not finite is named; order never matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.predictions import (
    KEY,
    IncompletePredictions,
    average,
    check_complete,
    load_predictions,
    prediction_table,
    save_predictions,
)

QUANTILES = (0.1, 0.9)


def example(rows: int = 12, targets: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row_id, origin, value): every row asked from two origins."""
    generator = np.random.default_rng(seed)
    row_id = np.repeat(np.arange(10, 10 + rows), 2)
    origin = np.tile([3, 7], rows)
    return row_id, origin, generator.normal(size=(2 * rows, targets, 1 + len(QUANTILES)))


def table_of(targets: int = 2) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    row_id, origin, value = example(targets=targets)
    return prediction_table(row_id, origin, value, QUANTILES), row_id, origin


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_table_says_which_value_is_which_and_is_the_same_from_any_order(seed: int) -> None:
    row_id, origin, value = example(seed=seed)
    order = np.random.default_rng(seed).permutation(len(row_id))
    table = prediction_table(row_id[order], origin[order], value[order], QUANTILES)
    pd.testing.assert_frame_equal(table, prediction_table(row_id, origin, value, QUANTILES))
    found = table.set_index(KEY)["value"]
    levels = [np.float32(level) for level in (0.0, *QUANTILES)]
    for place in range(0, len(row_id), 5):
        for target in range(2):
            for number, level in enumerate(levels):
                key = (row_id[place], origin[place], target, level)
                assert found.loc[key] == value[place, target, number]


def test_outputs_and_quantiles_belong_together() -> None:
    row_id, origin, value = example()
    with pytest.raises(ValueError, match="3 outputs for a point and 1 quantiles"):
        prediction_table(row_id, origin, value, (0.5,))


def test_stored_and_read_again(tmp_path: Path) -> None:
    table, *_ = table_of()
    save_predictions(table, tmp_path / "oof.parquet")
    pd.testing.assert_frame_equal(load_predictions(tmp_path / "oof.parquet"), table)
    read = load_predictions(tmp_path / "oof.parquet", member="lstm", fold=2)
    assert (read["member"] == "lstm").all()
    assert (read["fold"] == 2).all()
    other = tmp_path / "again.parquet"
    save_predictions(table.sample(frac=1.0, random_state=0).sort_values(KEY), other)
    assert load_predictions(other).equals(table)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_complete_in_any_order(seed: int) -> None:
    table, row_id, origin = table_of()
    order = np.random.default_rng(seed).permutation(len(row_id))
    shuffled = table.sample(frac=1.0, random_state=seed)
    check_complete(shuffled, row_id[order], origin[order], "anyone", targets=2)


def without(**where: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Drops the lines whose columns have these values."""

    def drop(table: pd.DataFrame) -> pd.DataFrame:
        hit = np.ones(len(table), dtype=bool)
        for name, value in where.items():
            hit &= table[name].to_numpy() == np.float32(value)
        assert hit.any()
        return table.loc[~hit]

    return drop


def with_value(value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(value=np.where(np.arange(len(table)) == 20, value, table["value"]))

    return change


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing": (without(row_id=13, origin=7), r"row 13 is missing \(target 0, quantile 0; 1 missing, 0 not"),
    "missing for one target": (
        without(row_id=13, origin=7, target=1),
        r"row 13 is missing \(target 1, quantile 0;",
    ),
    "missing for one quantile": (
        without(row_id=13, origin=3, quantile=0.9),
        r"row 13 is missing \(target 0, quantile 0.9;",
    ),
    "a target missing": (without(target=1), r"row 10 is missing \(target 1, quantile 0; 24 missing"),
    "a target of a quantile missing": (
        without(target=1, quantile=0.1),
        r"row 10 is missing \(target 1, quantile 0.1",
    ),
    "nothing there": (lambda table: table.iloc[:0], r"row 10 is missing \(target 0, quantile 0; 24 missing"),
    "doubled": (lambda table: pd.concat([table, table.iloc[[30]]]), "row 12 is predicted twice"),
    "not asked": (
        lambda table: pd.concat([table, table.iloc[[0]].assign(row_id=99)]),
        r"row 99 was not asked \(target 0, quantile 0; 0 missing, 1 not asked\)",
    ),
    "of another origin": (
        lambda table: table.assign(origin=table["origin"].replace(7, 8)),
        r"row 10 is missing \(target 0, quantile 0; 12 missing, 12 not asked\)",
    ),
    "NaN": (with_value(np.nan), r"the prediction of row 11 is not finite \(1 rows\)"),
    "infinite": (with_value(np.inf), r"the prediction of row 11 is not finite \(1 rows\)"),
    "a target too many": (lambda table: table.assign(target=table["target"] * 2), "target 2 was not asked"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_the_row(fault: str) -> None:
    change, message = FAULTS[fault]
    table, row_id, origin = table_of()
    with pytest.raises(IncompletePredictions, match=f"^lstm: {message}"):
        check_complete(change(table), row_id, origin, "lstm", targets=2)


@pytest.mark.parametrize("how", ["mean", "median"])
def test_average_is_by_key(how: str) -> None:
    tables = []
    for seed in range(3):
        row_id, origin, value = example(seed=seed)
        tables.append(prediction_table(row_id, origin, value, QUANTILES))
    expected = getattr(np, how)(np.stack([table["value"] for table in tables]), axis=0)
    shuffled = [table.sample(frac=1.0, random_state=seed) for seed, table in enumerate(tables)]
    found = average(shuffled, how)
    pd.testing.assert_frame_equal(found, tables[0].assign(value=expected))
    pd.testing.assert_frame_equal(average(tables[:1], how), tables[0])


def test_average_needs_the_same_rows() -> None:
    table, *_ = table_of()
    for other in (table.iloc[1:], table.assign(row_id=table["row_id"] + 1)):
        with pytest.raises(IncompletePredictions, match="not for the same rows"):
            average([table, other])
    with pytest.raises(ValueError, match="mean or median"):
        average([table], "mode")
