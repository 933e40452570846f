"""From files to the panel: order, gaps, codes, weights and ids; and the facts of real competitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.asked_rows import with_asked_rows
from data.build_panel import (
    build_panel,
    competition_folder,
    panel_of,
    read_competition,
    read_solution,
)
from data.errors import InputError
from data.panel import Panel
from data.raw_tables import RawTables
from data.sources import ventilator
from data.split import horizon_of
from tests.data import shop
from tests.data.shop import built_in, competition, panel, write
from tests.real_data import real_data

NAN = float("nan")


def test_rows_gaps_codes_and_weights(tmp_path: Path) -> None:
    made = panel(tmp_path)
    assert made.series_name.tolist() == ["1", "2"]
    assert made.offsets.tolist() == [0, 5, 10]
    assert made.time.tolist() == [0, 1, 2, 3, 4] * 2
    assert made.timestamp is not None
    assert made.timestamp[6] == np.datetime64("2020-01-02")
    assert made.present.tolist() == [True] * 6 + [False] + [True] * 3  # shop 2 has no 2nd of January
    assert made.test.tolist() == [False, False, False, True, True] * 2
    np.testing.assert_array_equal(made.target[:, 0], [5, 6, 0, NAN, NAN, 7, NAN, 8, NAN, NAN])
    # closed days and gaps are not judged; of asked rows only the closed one
    assert made.weight.tolist() == [1, 1, 0, 1, 0, 1, 0, 1, 1, 1]
    assert made.categories == {"kind": ["x", "y", "z"], "holiday": ["0", "a"]}
    assert made.frame["holiday"].tolist() == [1, 1, 2, 1, 1, 1, 0, 1, 1, 1]
    np.testing.assert_array_equal(made.frame["price"], [1.5] * 5 + [2.5, NAN, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(made.frame["visitors"], [50, 60, 0, NAN, NAN, 70, NAN, 80, NAN, NAN])
    assert made.static["kind"].tolist() == [1, 2]
    assert made.static["area"].tolist() == [10, 20]
    assert made.official_id.tolist() == ["", "", "", "11", "12", "", "", "", "21", "22"]
    assert made.masks["open == 0"].tolist() == [False, False, True, False, True] + [False] * 5
    assert any("1 rows are missing in the calendar" in note for note in made.notes)
    assert horizon_of(competition(), made) == 2
    assert horizon_of(competition("horizon: null"), made) == 2


def test_test_rows_without_a_truth_are_counted_and_not_judged(tmp_path: Path) -> None:
    files: dict[str, str | None] = {"solution.csv": "row,sales\n22,\n21,5\n12,NA\n11,1\n"}
    tables = read_competition(competition(), write(tmp_path, files))
    made = panel_of(tables)
    truth = read_solution(tables, made)
    assert truth["weight"].tolist() == [1, 0, 1, 0]  # in the order of the panel: 11, 12, 21, 22
    [note] = [note for note in made.notes if "solution.csv" in note]
    assert note == "solution.csv: 2 of 4 rows without a value (first: row 1); they are not judged"
    assert not any("solution.csv" in note for note in panel(tmp_path / "whole").notes)


def test_order_of_rows_in_the_files_does_not_matter(tmp_path: Path) -> None:
    header, *lines = shop.TRAIN.splitlines()
    shuffled = "\n".join([header, *reversed(lines)]) + "\n"
    assert_same(panel(tmp_path / "a"), panel(tmp_path / "b", files={"train.csv": shuffled}))


def assert_same(first: Panel, second: Panel) -> None:
    pd.testing.assert_frame_equal(first.frame, second.frame)
    pd.testing.assert_frame_equal(first.static, second.static)
    for name in ("offsets", "time", "target", "weight", "present", "test", "official_id"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_saved_and_loaded(tmp_path: Path) -> None:
    made = panel(tmp_path / "raw")
    made.save(tmp_path / "panel")
    loaded = Panel.load(tmp_path / "panel")
    assert_same(made, loaded)
    assert loaded.masks["open == 0"].tolist() == made.masks["open == 0"].tolist()
    assert loaded.notes == made.notes


def test_truth_is_matched_by_id_and_judged_by_itself(tmp_path: Path) -> None:
    tables = read_competition(competition("{judged: open == 1 and sales > 0}"), write(tmp_path))
    made = panel_of(tables)
    truth = read_solution(tables, made)
    assert truth["row_id"].tolist() == [3, 4, 8, 9]
    assert truth["sales"].tolist() == [1, 2, 0, 4]
    assert truth["weight"].tolist() == [1, 0, 0, 1]  # closed; no sales
    assert np.isnan(made.target[made.test]).all()


def test_truth_in_the_test_file_reaches_no_input(tmp_path: Path) -> None:
    lines = shop.TEST.splitlines()
    with_truth = "\n".join([f"{lines[0]},sales", *(f"{line},9" for line in lines[1:])]) + "\n"
    settings = "{files: {solution: test.csv}}"
    tables = read_competition(competition(settings), write(tmp_path / "a", {"test.csv": with_truth}))
    assert_same(panel_of(tables), panel(tmp_path / "b"))
    assert read_solution(tables, panel_of(tables))["sales"].tolist() == [9.0] * 4


def test_past_only_columns_of_the_test_file_are_blank(tmp_path: Path) -> None:
    lines = shop.TEST.splitlines()
    told = "\n".join([f"{lines[0]},visitors", *(f"{line},9" for line in lines[1:])]) + "\n"
    assert_same(panel(tmp_path / "a", files={"test.csv": told}), panel(tmp_path / "b"))


@pytest.mark.parametrize("holiday", ["0", '"0"', "0.0"])
def test_numbers_and_texts_are_one_category(tmp_path: Path, holiday: str) -> None:
    made = panel(tmp_path, files={"test.csv": shop.TEST.replace(",0,1.5", f",{holiday},1.5")})
    assert made.frame["holiday"].to_numpy()[made.test].tolist() == [1, 1, 1, 1]


def test_what_competitions_commonly_have_is_handled_and_noted(tmp_path: Path) -> None:
    made = panel(
        tmp_path,
        "{fill: {open: 1}}",
        files={
            "test.csv": shop.TEST.replace("2020-01-04,1,0,1.5", "2020-01-04,,new,").replace(
                "21,2,2020-01-04,1,0", "21,2,2020-01-04,1,"
            ),
            "shop.csv": "shop,kind,area\n1,,\n2,y,20\n",
        },
    )
    assert made.frame["holiday"].to_numpy()[3] == 0
    assert made.frame["holiday"].to_numpy()[8] == 0
    assert np.isnan(made.frame["price"].to_numpy()[3])
    assert made.frame["open"].to_numpy()[3] == 1
    assert made.static["kind"].tolist() == [0, 1]
    assert np.isnan(made.static["area"].to_numpy()[0])
    for words in (
        "holiday: 1 rows have a category that the training file has not",
        "'new'",
        "holiday: 1 rows without a value",
        "price: 1 rows without a value (first: test.csv: row 1)",
        "open: 1 missing values filled with 1 (first: test.csv: row 1)",
        "kind: 1 series without a value (first: 1)",
        "area: 1 series without a value (first: 1)",
    ):
        assert any(words in note for note in made.notes), (words, made.notes)


def test_a_missing_target_can_be_kept_unjudged(tmp_path: Path) -> None:
    files: dict[str, str | None] = {"train.csv": shop.TRAIN.replace("01-02,6", "01-02,")}
    made = panel(tmp_path, "{missing_target: unjudged}", files=files)
    assert np.isnan(made.target[1, 0])
    assert made.weight[1] == 0
    assert any("1 training rows without a target" in note for note in made.notes)


def test_an_optional_file_may_be_absent(tmp_path: Path) -> None:
    change = (
        "{joins: [{file: shop.csv, key: [shop]},"
        " {file: map.csv, key: [shop], columns: [state], optional: true}],"
        " columns: {static_categorical: [kind, state]}}"
    )
    without = panel(tmp_path / "a", change)
    assert without.static["state"].tolist() == [0, 0]
    assert any("map.csv: not there" in note for note in without.notes)
    there = panel(tmp_path / "b", change, files={"map.csv": "shop,state\n2,HE\n1,BY\n"})
    assert there.static["state"].tolist() == [1, 2]


def test_a_join_by_day_may_lack_days(tmp_path: Path) -> None:
    change = (
        "{joins: [{file: shop.csv, key: [shop]}, {file: days.csv, key: [date]}],"
        " columns: {known_real: [heat]}}"
    )
    made = panel(tmp_path, change, files={"days.csv": "date,heat\n2020-01-01,3\n2020-01-05,5\n"})
    np.testing.assert_array_equal(made.frame["heat"], [3, NAN, NAN, NAN, 5, 3, NAN, NAN, NAN, 5])
    assert any("days.csv: 5 rows have no match" in note for note in made.notes)


def test_derived_columns(tmp_path: Path) -> None:
    change = (
        "{derive: {big: area > 15, day: day(date) + 10 * big},"
        " columns: {known_real: [day], static_real: [big]}}"
    )
    made = panel(tmp_path, change)
    np.testing.assert_array_equal(made.frame["day"], [1, 2, 3, 4, 5, 11, NAN, 13, 14, 15])
    assert made.static["big"].tolist() == [0, 1]


def test_ids_composed_of_columns_stay_as_in_the_file(tmp_path: Path) -> None:
    rows = "\n".join(line.split(",", 1)[1] for line in shop.TEST.splitlines()) + "\n"
    sample = "Id,sales\n1_2020-01-04,0\n1_2020-01-05,0\n2_2020-01-04,0\n2_2020-01-05,0\n"
    made = panel(
        tmp_path,
        "{row_id: [shop, date], submission: {row_id: Id}, files: {solution: null}}",
        files={"test.csv": rows, "sample_submission.csv": sample},
    )
    assert made.official_id[made.test].tolist() == sample.replace(",0", "").split()[1:]
    assert made.official_id[0] == "1_2020-01-01"  # training rows have it too


def test_a_series_may_be_called_na(tmp_path: Path) -> None:
    files = {name: text.replace("\n2,", "\nNA,") for name, text in shop.FILES.items() if "sample" not in name}
    files["test.csv"] = shop.TEST.replace(",2,", ",NA,").replace("22,", "null,")
    files["sample_submission.csv"] = shop.SAMPLE.replace("22,", "null,")
    made = panel(tmp_path, files=files)  # type: ignore[arg-type]
    assert made.series_name.tolist() == ["1", "NA"]
    assert made.official_id[made.test].tolist() == ["11", "12", "21", "null"]
    assert made.static["kind"].tolist() == [1, 2]


def test_without_a_test_file_the_horizon_is_asked(tmp_path: Path) -> None:
    train = "name,month,y\nb,2020-11,1\nb,2020-12,2\na,2020-10,3\na,2020-11,4\n"
    base = (
        "{name: tiny, files: {test: null, sample: null}, series: [name], time: month, frequency: MS,"
        " target: [y], horizon: 3, metric: [{name: mae}],"
        " derive: {m: month(month)}, columns: {known_real: [m]}}"
    )
    (tmp_path / "train.csv").write_text(train)
    made = build_panel(competition(base=base), tmp_path)
    assert made.series_name.tolist() == ["a", "b"]
    assert made.time.tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert made.frame["m"].tolist() == [10, 11, 12, 1, 2, 11, 12, 1, 2, 3]
    assert made.official_id[made.test].tolist() == [
        *("a_2020-12", "a_2021-01", "a_2021-02"),
        *("b_2021-01", "b_2021-02", "b_2021-03"),
    ]
    assert made.timestamp is not None
    assert made.timestamp[-1] == np.datetime64("2021-03-01")


@pytest.mark.parametrize("series", ["[]", "[name]"])
@pytest.mark.parametrize("row_id", ["[]", "[when]"])
@pytest.mark.parametrize(
    ("last", "asked"),
    [
        ("2020-01-03 00:00:00Z", ["2020-01-03 01:00:00Z", "2020-01-03 02:00:00Z"]),
        ("2020-01-03T00:00Z", ["2020-01-03T01:00Z", "2020-01-03T02:00Z"]),
        ("2020-01-03T02:00:00+02:00", ["2020-01-03T03:00:00+02:00", "2020-01-03T04:00:00+02:00"]),
    ],
)
def test_times_with_a_zone_are_utc(
    tmp_path: Path, series: str, row_id: str, last: str, asked: list[str]
) -> None:
    """As text, where they make an id, they stay as they are written."""
    base = (
        f"{{name: tiny, files: {{test: null, sample: null}}, series: {series}, row_id: {row_id}, time: when,"
        " frequency: h, target: [y], horizon: 2, metric: [{name: mae}], derive: {hour: hour(when)},"
        " columns: {known_real: [hour], ignored: [name]}}"
    )
    (tmp_path / "train.csv").write_text(f"name,when,y\na,{last},1\n")
    made = build_panel(competition(base=base), tmp_path)
    assert made.timestamp is not None
    assert made.timestamp.astype("datetime64[h]").astype(str).tolist() == [
        f"2020-01-03T{hour:02}" for hour in range(3)
    ]
    assert made.frame["hour"].tolist() == [0, 1, 2]
    plain = ["2020-01-03 01:00:00", "2020-01-03 02:00:00"]
    expected = asked if row_id == "[when]" else [f"a_{when}" if series != "[]" else when for when in plain]
    assert made.official_id[made.test].tolist() == expected
    assert len([note for note in made.notes if "zone" in note and "read as UTC" in note]) == 1


def test_the_hour_that_stands_twice_when_clocks_go_back(tmp_path: Path) -> None:
    when = pd.date_range("2020-10-24 23:00", periods=30, freq="h", tz="UTC").tz_convert("Europe/Berlin")
    pd.DataFrame({"when": when[:25], "y": 1.0}).to_parquet(tmp_path / "train.parquet")
    pd.DataFrame({"when": when[25:]}).to_parquet(tmp_path / "test.parquet")
    base = "{name: tiny, files: {sample: null}, time: when, target: [y], metric: [{name: mae}]}"
    made = build_panel(competition("frequency: h", base=base), tmp_path)
    assert made.time.tolist() == list(range(30))
    assert made.present.all()
    assert "train.parquet, test.parquet: column 'when'" in made.notes[0]
    assert "(Europe/Berlin) are read as UTC" in made.notes[0]


def test_midnights_of_a_zone_stay_its_days(tmp_path: Path) -> None:
    when = pd.date_range("2020-10-24", periods=3, freq="D", tz="Europe/Berlin")
    pd.DataFrame({"when": when[:2], "y": 1.0}).to_parquet(tmp_path / "train.parquet")
    pd.DataFrame({"when": when[2:]}).to_parquet(tmp_path / "test.parquet")
    base = "{name: tiny, files: {sample: null}, time: when, target: [y], metric: [{name: mae}]}"
    made = build_panel(competition("frequency: D", base=base), tmp_path)
    assert made.official_id[made.test].tolist() == ["2020-10-26"]
    assert "are read as days of that zone" in made.notes[0]


def test_ids_are_text_where_one_file_alone_has_dates(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("when,y\n2020-01-03T00:00:00Z,1\n2020-01-03 01:00:00,1\n")
    (tmp_path / "test.csv").write_text("when\n2020-01-03 02:00:00\n")
    base = "{name: tiny, files: {sample: null}, time: when, target: [y], metric: [{name: mae}]}"
    made = build_panel(competition("frequency: h", base=base), tmp_path)
    assert made.official_id.tolist() == ["2020-01-03T00:00:00Z", "2020-01-03 01:00:00", "2020-01-03 02:00:00"]


def test_what_a_reader_leaves_in_a_zone_is_asked_in_it(tmp_path: Path) -> None:
    base = (
        "{name: tiny, files: {test: null, sample: null}, time: when, frequency: h, target: [y], horizon: 1,"
        " metric: [{name: mae}]}"
    )
    when = pd.to_datetime(["2020-10-25 00:00"], utc=True).tz_convert("Europe/Berlin")
    tables = RawTables(competition(base=base), pd.DataFrame({"when": when, "y": 1.0}), None)
    asked = with_asked_rows(tables).test
    assert asked is not None
    assert asked["when"].tolist() == [pd.Timestamp("2020-10-25 01:00", tz="UTC").tz_convert("Europe/Berlin")]
    assert panel_of(tables).official_id.tolist() == ["2020-10-25", "2020-10-25 01:00:00"]


@pytest.mark.parametrize(
    ("frequency", "dates", "steps"),
    [
        ("D", ["2020-02-28", "2020-03-01"], [0, 2]),
        ("W", ["2020-01-01", "2020-01-15"], [0, 2]),  # a week from whatever day it starts
        ("2W-SUN", ["2020-01-05", "2020-02-02"], [0, 2]),
        ("H", ["2020-01-01 00:00:00", "2020-01-01 05:00:00"], [0, 5]),
        ("15min", ["2020-01-01 00:00", "2020-01-01 00:45"], [0, 3]),
        ("M", ["2020-01-31", "2020-03-31"], [0, 2]),
        ("QS", ["2020-01-01", "2020-10-01"], [0, 3]),
        ("B", ["2020-01-03", "2020-01-06"], [0, 1]),
        (None, [3, 7], [3, 7]),
        (None, [0.25, 0.5], [0, 1]),
        (None, ["2020-01-01", "2020-05-17"], [0, 1]),
    ],
)
def test_clocks(tmp_path: Path, frequency: str | None, dates: list[object], steps: list[int]) -> None:
    (tmp_path / "train.csv").write_text(f"t,y\n{dates[0]},1\n")
    (tmp_path / "test.csv").write_text(f"t\n{dates[1]}\n")
    base = "{name: tiny, files: {sample: null}, time: t, target: [y], metric: [{name: mae}]}"
    made = build_panel(competition(f"frequency: {frequency or 'null'}", base=base), tmp_path)
    assert made.time[made.present].tolist() == steps
    assert made.rows == steps[1] - steps[0] + 1


def test_several_targets_without_a_series_column(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("t,a,b\n1,1,10\n2,2,20\n")
    base = (
        "{name: tiny, files: {test: null, sample: null}, time: t, target: [b, a], horizon: 2,"
        " metric: [{name: mse}]}"
    )
    made = build_panel(competition(base=base), tmp_path)
    assert made.target_name == ("b", "a")
    np.testing.assert_array_equal(made.target, [[10, 1], [20, 2], [NAN, NAN], [NAN, NAN]])
    assert made.official_id[made.test].tolist() == ["3", "4"]
    assert made.series_name.tolist() == ["tiny"]


def test_columns_without_a_role_are_noted(tmp_path: Path) -> None:
    both = {"train.csv": shop.TRAIN, "test.csv": shop.TEST}
    files: dict[str, str | None] = {
        name: "".join(
            f"{line},{'note' if number == 0 else 'x'}\n" for number, line in enumerate(text.split())
        )
        for name, text in both.items()
    }
    made = panel(tmp_path / "a", files=files)
    assert any("not read by any model: note" in note for note in made.notes)
    assert_same(made, panel(tmp_path / "b", "{columns: {ignored: [note]}}", files=files))


def test_etth1_as_it_is() -> None:
    """Hourly, seven targets, no test file: the next 24 hours are asked."""
    base = (
        "{name: etth1, files: {train: ETTh1.parquet, test: null, sample: null}, time: date, frequency: h,"
        " target: [HUFL, HULL, MUFL, MULL, LUFL, LULL, OT], horizon: 24, metric: [{name: mse}]}"
    )
    made = build_panel(competition(base=base), real_data("long_horizon"))
    assert made.target.shape == (17_420 + 24, 7)
    assert made.present.all()
    assert int(made.test.sum()) == 24
    assert not np.isnan(made.target[~made.test]).any()


def test_a_folder_of_ones_own() -> None:
    assert competition_folder(competition(), Path("/r")) == Path("/r/data/files/raw/shops")
    assert competition_folder(competition("root: /elsewhere"), Path("/r")) == Path("/elsewhere")


def test_the_ventilator_without_files_is_simulated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = built_in("ventilator", "{reader_settings: {train_breaths: 30, test_breaths: 10}}")
    folder = competition_folder(wanted, tmp_path)
    tables = read_competition(wanted, folder)
    assert tables.competition.local.kind == "solution"
    assert (tmp_path / "data/files/interim/ventilator-30-10-0/train.csv").exists()
    made = panel_of(tables)
    assert made.rows == 40 * 80
    assert made.series == 40
    assert made.test.sum() == 800
    assert (np.diff(made.offsets) == 80).all()
    assert made.categories == {"R": ["5", "20", "50"], "C": ["10", "20", "50"]}
    np.testing.assert_array_equal(made.weight == 1, made.frame["u_out"] == 0)
    np.testing.assert_array_equal(
        made.static["resistance"], np.array([0, 5, 20, 50])[made.static["R"].to_numpy()]
    )
    truth = read_solution(tables, made)
    assert truth["pressure"].between(-2, 65).all()
    assert (truth["row_id"].to_numpy() == np.flatnonzero(made.test)).all()
    monkeypatch.setattr(ventilator, "write_competition", lambda *_: pytest.fail("simulated again"))
    assert_same(panel_of(read_competition(wanted, folder)), made)


def test_the_ventilator_of_a_folder_of_ones_own_is_never_simulated(tmp_path: Path) -> None:
    wanted = built_in("ventilator", f"root: {tmp_path}")
    with pytest.raises(InputError, match=r"no file train\.csv"):
        read_competition(wanted, competition_folder(wanted, tmp_path / "elsewhere"))
    assert not list(tmp_path.iterdir())


def test_rossmann_as_it_is() -> None:
    """Facts of the original files: 1,115 stores, 180 of them closed for 184 days, store 1 of 31 July 2015."""
    folder = real_data("rossmann")
    wanted = built_in("rossmann")
    made = build_panel(wanted, folder)
    assert made.series == 1115
    assert int((made.present & ~made.test).sum()) == 1_017_209
    assert int(made.test.sum()) == 41_088
    series = made.series_of_row()
    assert len(np.unique(series[made.test])) == 856
    history = np.bincount(series[made.present & ~made.test])
    assert dict(zip(*np.unique(history, return_counts=True), strict=True)) == {758: 180, 941: 1, 942: 934}
    assert int((~made.present).sum()) == 180 * 184
    closed = made.masks["Open == 0"]
    train = made.present & ~made.test
    assert int((closed & train).sum()) == 172_817
    assert int((train & ~closed & (made.weight == 0)).sum()) == 54
    assert made.timestamp is not None
    assert made.timestamp[made.test].min() == np.datetime64("2015-08-01")
    assert made.timestamp[made.test].max() == np.datetime64("2015-09-17")
    assert made.timestamp.min() == np.datetime64("2013-01-01")
    assert made.categories["StateHoliday"] == ["0", "a", "b", "c"]
    assert int(np.isnan(made.static["competition_distance"]).sum()) == 3
    assert int((made.static["PromoInterval"] == 0).sum()) == 544
    assert any("Open: 11 missing values filled with 1" in note for note in made.notes)
    row = int(np.flatnonzero((series == 0) & (made.timestamp == np.datetime64("2015-07-31")))[0])
    assert made.series_name[0] == "1"
    assert made.target[row, 0] == 5263
    assert made.frame["Customers"].to_numpy()[row] == 555
    assert made.frame["competition_months"].to_numpy()[row] == 60  # since September 2008, capped
    assert np.isnan(made.frame["Customers"].to_numpy()[made.test]).all()
    assert horizon_of(wanted, made) == 48


def test_m4_hourly_as_it_is() -> None:
    tables = read_competition(built_in("m4_hourly"), real_data("m4_hourly"))
    made = panel_of(tables)
    assert made.series == 414
    assert int((~made.test).sum()) == 353_500
    assert int(made.test.sum()) == 19_872
    assert made.present.all()
    lengths = np.diff(made.offsets) - 48
    assert lengths.min() == 700
    assert lengths.max() == 960
    assert made.timestamp is None
    first = made.offsets[:-1]
    assert (made.time[first] == 1).all()
    assert (made.time[made.offsets[1:] - 1] == lengths + 48).all()
    assert made.series_name[:3].tolist() == ["H1", "H2", "H3"]
    assert made.official_id[made.test][:2].tolist() == ["H1_1", "H1_2"]
    truth = read_solution(tables, made)
    assert truth["y"].tolist()[:3] == [619, 565, 532]
    assert (truth["weight"] == 1).all()


def test_real_breaths_as_they_are(tmp_path: Path) -> None:
    """80,000 rows of 1,000 real breaths; the pressures that could not be recovered are kept unjudged."""
    breaths = pd.read_csv(real_data("ventilator/real_breaths_1000.csv.gz"))
    train = breaths[breaths["breath_id"] % 4 > 0].drop(columns=["kp", "ki", "kt"])
    test = breaths[breaths["breath_id"] % 4 == 0]
    train.to_csv(tmp_path / "train.csv.gz", index=False)
    test.drop(columns=["kp", "ki", "kt", "pressure"]).to_csv(tmp_path / "test.csv", index=False)
    test[["id"]].assign(pressure=0).to_csv(tmp_path / "sample_submission.csv", index=False)
    wanted = built_in("ventilator", "{missing_target: unjudged}")
    tables = read_competition(wanted, tmp_path)
    assert tables.competition.local.kind == "groups"  # Kaggle's files come without the truth
    assert tables.solution is None
    made = panel_of(tables)
    assert made.rows == 80_000
    assert made.series == 1000
    known = train["pressure"].notna() & (train["u_out"] == 0)
    assert int((made.weight[~made.test] > 0).sum()) == int(known.sum())
