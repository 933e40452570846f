"""External predictions: found by row number, id or series and time; everything that is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError, RowsNotGiven
from data.folds import Fold, Origins
from data.panel import Panel
from data.predictions import save_predictions
from models.members.base import FitTask
from models.members.catalogue import make_member
from tests.members import Toy, asked_rows_of, fit_task, make_toy, same


def value_of(row: np.ndarray, fold: np.ndarray | int = 0) -> np.ndarray:
    """(N, 2) predictions that say which row (and fold) they are for."""
    return np.stack([row + 0.25, 1000.0 * (1 + np.broadcast_to(fold, row.shape)) + row], axis=1)


def csv_of(toy: Toy, row: np.ndarray, by: str) -> pd.DataFrame:
    """A teammate's table of panel rows, in another order, with what names the rows in that way."""
    panel = toy.panel
    table = pd.DataFrame(value_of(row), columns=["sales", "returns"])
    if by == "row_id":
        table["row_id"] = row
    elif by == "id":
        table["Id"] = panel.official_id[row]
    else:
        table["series"] = panel.series_name[panel.series_of_row()[row]]
        assert panel.timestamp is not None
        table["date"] = pd.DatetimeIndex(panel.timestamp[row]).strftime("%Y-%m-%d")
    return table.sample(frac=1.0, random_state=1)


def named(toy: Toy) -> Toy:
    """With an id column, and names that pandas would take for numbers or gaps."""
    toy.competition.submission.row_id = "Id"
    official = np.array([f"00{row}" for row in range(toy.panel.rows)], dtype=object)
    names = np.array(["NA", "007", *[f"s{index}" for index in range(2, toy.panel.series)]], dtype=object)
    return replace(toy, panel=replace(toy.panel, official_id=official, series_name=names))


def looked_up(task: FitTask, asked: Origins, part: str = "oof", **files: Any) -> pd.DataFrame:
    member = make_member(
        "external", {**dict.fromkeys(("oof", "local", "test"), next(iter(files.values()))), **files}
    )
    member.fit(task)
    return member.predict(task, asked, part)


@pytest.mark.parametrize("by", ["row_id", "id", "series and time"])
def test_rows_are_found_in_each_way(by: str, tmp_path: Path) -> None:
    toy = named(make_toy("horizon"))
    file = tmp_path / "oof.csv"
    csv_of(toy, np.arange(toy.panel.rows), by).to_csv(file, index=False)
    for origins in (toy.fold.asked, toy.split.test.asked):
        found = looked_up(fit_task(toy, tmp_path), origins, oof=str(file))
        row, origin = asked_rows_of(toy, origins)
        np.testing.assert_array_equal(found["row_id"], np.repeat(row, 2))
        np.testing.assert_array_equal(found["origin"], np.repeat(origin, 2))
        np.testing.assert_array_equal(found["value"], value_of(row).reshape(-1))


def test_times_with_a_zone_are_utc_as_the_panels_are(tmp_path: Path) -> None:
    toy = named(make_toy("horizon"))
    table = csv_of(toy, np.arange(toy.panel.rows), "series and time")
    table["date"] += "T01:00:00+01:00"
    table.to_csv(tmp_path / "oof.csv", index=False)
    found = looked_up(fit_task(toy, tmp_path), toy.fold.asked, oof=str(tmp_path / "oof.csv"))
    row, _ = asked_rows_of(toy, toy.fold.asked)
    np.testing.assert_array_equal(found["value"], value_of(row).reshape(-1))


def test_an_id_called_row_id_is_the_competitions(tmp_path: Path) -> None:
    """Where the asked rows have one; a table with origins is one of our own and means the panel's rows."""
    toy = named(make_toy("horizon"))
    toy.competition.submission.row_id = "row_id"
    official = np.array([str(row + 5) for row in range(toy.panel.rows)], dtype=object)
    toy = replace(toy, panel=replace(toy.panel, official_id=official))
    row, _ = asked_rows_of(toy, toy.fold.asked)
    table = pd.DataFrame(value_of(row), columns=["sales", "returns"])
    table.assign(row_id=row + 5).to_csv(tmp_path / "official.csv", index=False)
    table.assign(row_id=row, origin=0).to_csv(tmp_path / "ours.csv", index=False)
    for file in ("official.csv", "ours.csv"):
        found = looked_up(fit_task(toy, tmp_path), toy.fold.asked, oof=str(tmp_path / file))
        np.testing.assert_array_equal(found["value"], value_of(row).reshape(-1))


def test_our_own_parquet_is_read_with_one_target(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    toy = replace(toy, panel=replace(toy.panel, target=toy.panel.target[:, :1], target_name=("sales",)))
    toy.competition.target = ["sales"]
    task = fit_task(toy, tmp_path)
    naive = make_member("seasonal_naive", {})
    table = naive.predict(task, toy.fold.asked, "oof")
    save_predictions(table, tmp_path / "oof.parquet")
    same(looked_up(task, toy.fold.asked, oof=str(tmp_path / "oof.parquet")), table)


def test_the_line_of_the_fold_is_taken(tmp_path: Path) -> None:
    toy = make_toy("horizon")
    row, _ = asked_rows_of(toy, toy.fold.asked)
    tables = [
        pd.DataFrame(value_of(row, fold), columns=["sales", "returns"]).assign(row_id=row, fold=fold)
        for fold in (0, 1)
    ]
    pd.concat(tables).to_csv(tmp_path / "oof.csv", index=False)
    for fold in (0, 1):
        chosen = Fold(fold, f"fold{fold}", "", toy.fold.train_end, toy.fold.asked)
        found = looked_up(fit_task(toy, tmp_path, fold=chosen), chosen.asked, oof=str(tmp_path / "oof.csv"))
        np.testing.assert_array_equal(found["value"], value_of(row, fold).reshape(-1))


@pytest.mark.parametrize("by", ["row_id", "id", "series and time"])
@pytest.mark.parametrize("kind", ["horizon", "sequence"])
def test_a_fit_keeps_what_the_test_file_says(kind: str, by: str, tmp_path: Path) -> None:
    """So that it can be looked up elsewhere, in a panel in which the same rows have other numbers."""
    if (kind, by) == ("sequence", "series and time"):
        pytest.skip("its time is no date")
    toy, file = named(make_toy(kind)), tmp_path / "test.csv"
    csv_of(toy, np.arange(toy.panel.rows), by).to_csv(file, index=False)
    task, asked = fit_task(toy, tmp_path / "fit"), toy.split.test.asked
    before = looked_up(task, asked, "test", test=str(file))
    file.unlink()
    member = make_member("external", dict.fromkeys(("oof", "test"), str(file)))
    same(member.predict(task, asked, "test"), before)
    # Another panel: the first series is gone, so that all rows move up.
    shift = int(toy.panel.offsets[1])
    fewer = without_first_series(toy.panel)
    later = asked.series > 0
    moved = Origins(asked.series[later] - 1, asked.row[later] - shift)
    other = replace(toy, panel=fewer)
    part = replace(toy.fold, train_end=toy.fold.train_end[1:] - shift, asked=moved)
    again = member.predict(fit_task(other, tmp_path / "fit", fold=part), moved, "test")
    kept = before[before["row_id"] >= shift].reset_index(drop=True)
    assert len(kept)
    same(again, kept.assign(row_id=kept["row_id"] - shift, origin=kept["origin"] - shift))
    # Rows of which it says nothing.
    strange = replace(fewer, official_id=np.array([f"new{row}" for row in range(fewer.rows)], dtype=object))
    strange = replace(
        strange, series_name=np.array([f"new{one}" for one in range(fewer.series)], dtype=object)
    )
    task = fit_task(replace(toy, panel=strange), tmp_path / "fit", fold=part)
    with pytest.raises(RowsNotGiven, match=r"test\.csv: (\d+) of \1 asked rows have no finite prediction"):
        member.predict(task, moved, "test")


def test_row_numbers_of_another_panel_are_no_names(tmp_path: Path) -> None:
    """Of a fit by older code, which kept nothing: the numbers would find other rows."""
    toy, file = named(make_toy("horizon")), tmp_path / "test.csv"
    csv_of(toy, np.arange(toy.panel.rows), "row_id").to_csv(file, index=False)
    panel = replace(toy.panel, fitted_series=np.arange(toy.panel.series))
    with pytest.raises(RowsNotGiven, match=r"test\.csv: row_id means the rows that were fitted on"):
        looked_up(fit_task(toy, tmp_path, panel=panel), toy.split.test.asked, "test", test=str(file))


def without_first_series(panel: Panel) -> Panel:
    """As a panel of other rows, which knows the numbers that its series had."""
    shift = int(panel.offsets[1])
    rows = ("time", "timestamp", "target", "weight", "present", "test", "official_id", "file_row")
    cut = {name: getattr(panel, name)[shift:] for name in rows if getattr(panel, name) is not None}
    return replace(
        panel,
        offsets=panel.offsets[1:] - shift,
        series_name=panel.series_name[1:],
        frame=panel.frame.iloc[shift:].reset_index(drop=True),
        static=panel.static.iloc[1:].reset_index(drop=True),
        masks={name: mask[shift:] for name, mask in panel.masks.items()},
        fitted_series=np.arange(1, panel.series),
        **cut,
    )


WRONG: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing row": (lambda table: table.iloc[1:], r"1 of \d+ asked rows have no finite prediction, first"),
    "doubled row": (
        lambda table: pd.concat([table, table.iloc[:1]]),
        "stands there twice; add a column 'fold'",
    ),
    "NaN": (lambda table: table.assign(sales=np.nan), r"(\d+) of \1 asked rows have no finite prediction"),
    "text": (lambda table: table.assign(sales="many"), r"asked rows have no finite prediction"),
    "no target": (lambda table: table.drop(columns="returns"), "column 'returns' is missing"),
    "no key": (lambda table: table.drop(columns="row_id"), "no column says which row is meant"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(wrong: str, tmp_path: Path) -> None:
    change, message = WRONG[wrong]
    toy, file = make_toy("horizon"), tmp_path / "oof.csv"
    row, _ = asked_rows_of(toy, toy.fold.asked)
    change(csv_of(toy, row, "row_id").sort_values("row_id")).to_csv(file, index=False)
    with pytest.raises(InputError, match=message) as caught:
        looked_up(fit_task(toy, tmp_path), toy.fold.asked, oof=str(file))
    assert str(file) in str(caught.value)


def test_a_date_that_does_not_parse(tmp_path: Path) -> None:
    toy, file = make_toy("horizon"), tmp_path / "oof.csv"
    row, _ = asked_rows_of(toy, toy.fold.asked)
    csv_of(toy, row, "series and time").assign(date="soon").to_csv(file, index=False)
    with pytest.raises(InputError, match=r"column 'date'.*soon"):
        looked_up(fit_task(toy, tmp_path), toy.fold.asked, oof=str(file))


@pytest.mark.parametrize("content", [None, "", "row_id,sales\n1,2,3,4\n1\n"])
def test_a_file_that_is_not_there_or_is_broken(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "oof.csv"
    if content is not None:
        file.write_text(content)
    toy = make_toy("horizon")
    with pytest.raises(InputError, match=r"oof\.csv"):
        looked_up(fit_task(toy, tmp_path), toy.fold.asked, oof=str(file))
