"""The data sets of papers on long horizons: their reader, and ETTh1's protocol against published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.build_panel import build_panel
from data.competition import Competition
from data.errors import InputError
from data.scoring import Scorer, asked_of
from data.split import make_split
from tests.data.shop import built_in
from tests.real_data import real_data

COLUMNS = ("HUFL", "OT")


def wide(rows: int = 40) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    dates = pd.date_range("2016-07-01", periods=rows, freq="h")
    return pd.DataFrame({"date": dates, **{name: generator.normal(5.0, 3.0, rows) for name in COLUMNS}})


def small(folder: Path, table: pd.DataFrame, **settings: Any) -> Competition:
    """ETTh1 with parts of 20, 8 and 8 rows and 3 steps ahead, of a file in `folder`."""
    table.to_parquet(folder / "ETTh1.parquet")
    competition = built_in("etth1")
    parts = {"train_rows": 20, "validation_rows": 8, "test_rows": 8}
    competition.reader_settings = parts | settings
    competition.horizon, competition.folds.rows, competition.local.rows = 3, 8, 8
    return competition


def test_columns_become_series_scaled_by_what_is_learnt_from(tmp_path: Path) -> None:
    table = wide()
    competition = small(tmp_path, table)
    panel = build_panel(competition, tmp_path)
    assert panel.series_name.tolist() == list(COLUMNS)
    for series, name in enumerate(COLUMNS):
        known = panel.target[panel.offsets[series] : panel.offsets[series + 1] - 3, 0]
        learnt = table[name].to_numpy()[:20]
        np.testing.assert_allclose(known, (table[name].to_numpy()[:36] - learnt.mean()) / learnt.std())
        assert abs(known[:20].mean()) < 1e-12
        assert known[:20].std() == pytest.approx(1)
    assert panel.test.sum() == 2 * 3
    assert panel.official_id[panel.test][0] == "HUFL_2016-07-02 12:00:00"
    assert any("the last 4 rows are not part of the protocol" in note for note in panel.notes)
    split = make_split(competition, panel)
    assert split.local is not None
    [fold] = split.folds
    assert (fold.train_end - panel.offsets[:-1]).tolist() == [20, 20]
    assert (split.local.train_end - panel.offsets[:-1]).tolist() == [28, 28]
    first = split.local.asked.row[split.local.asked.series == 0]
    assert first.tolist() == [28, 29, 30, 31, 32, 33], "every origin whose 3 rows are in the last part"


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"train_rows": 0}, {}, r"reader_settings.train_rows: found 0, expected a number of rows"),
        ({"test_rows": None}, {}, r"reader_settings.test_rows: found None, expected a number of rows"),
        ({"test_rows": 80}, {}, r"ETTh1.parquet: found 40 rows, expected at least 108"),
        ({}, {"OT": "warm"}, r"ETTh1.parquet: row 1: column 'OT': found warm, expected a number"),
        ({}, {"OT": np.nan}, r"ETTh1.parquet: row 1: column 'OT': found nan, expected a number"),
    ],
)
def test_what_cannot_be_read(
    settings: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        build_panel(small(tmp_path, wide().assign(**change), **settings), tmp_path)


def test_the_protocol_gives_the_published_errors_of_repeating_the_last_value() -> None:
    """MSE 1.295, MAE 0.713: "Repeat" of Zeng et al. 2023 (arXiv 2205.13504), where nothing is fitted.

    Their loader leaves out the last batch of windows that is not full; here all 2,785 origins count.
    """
    folder = real_data("long_horizon")
    competition = built_in("etth1")
    panel = build_panel(competition, folder)
    split = make_split(competition, panel)
    assert split.local is not None
    [fold] = split.folds
    assert panel.series == 7
    assert (fold.train_end - panel.offsets[:-1] == 8640).all()
    assert len(split.local.asked.row) == 7 * 2785
    rows = split.local.asked.row - panel.offsets[split.local.asked.series]
    assert (rows.min(), rows.max()) == (11520, 14400 - 96)
    assert ((fold.asked.row - panel.offsets[fold.asked.series]).min()) == 8640
    asked = asked_of(panel, [(-1, split.local.asked)], 96)
    assert len(asked) == 7 * 2785 * 96
    scores = Scorer(competition, panel).scores(asked, panel.target[asked.origin - 1])
    assert scores == pytest.approx({"mse": 1.295, "mae": 0.713}, abs=1e-3)
