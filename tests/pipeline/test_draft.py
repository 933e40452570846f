"""Drafted competitions: what is guessed from files of the usual kinds, and that the draft really runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.build_panel import panel_of, read_competition
from data.competition import Competition
from data.errors import InputError
from data.panel import Panel
from data.raw_tables import competition_folder
from data.split import make_split
from features.build import build_features
from pipeline.compose import compose
from pipeline.draft import draft_competition
from pipeline.run import main
from tests.limit import within
from tests.real_data import real_data


def drafted(folder: Path, name: str, **files: Path | None) -> Competition:
    """The competition that is drafted from the files, composed as a run would."""
    train = files["train"]
    assert train is not None
    draft_competition(name, train, files.get("test"), files.get("sample"), folder / "conf")
    return compose([f"competition={name}"], [str(folder / "conf")]).competition


def built(competition: Competition) -> Panel:
    """Files, panel, folds and features as the first stages make them."""
    tables = read_competition(competition, competition_folder(competition, Path()))
    panel = panel_of(tables)
    split = make_split(tables.competition, panel)
    assert split.folds
    build_features(tables.competition, panel, tables.competition.features)
    return panel


def retail(folder: Path, days: int = 200, ahead: int = 14) -> dict[str, Path | None]:
    """Daily sales of 6 shops, 4 of which are asked for; closed on Sundays; the region is static."""
    generator = np.random.default_rng(0)
    dates = pd.date_range("2021-03-01", periods=days + ahead)
    rows = pd.DataFrame(
        [(f"shop{shop}", "north" if shop < 3 else "south", date) for shop in range(6) for date in dates],
        columns=["shop", "region", "date"],
    )
    rows["open"] = (rows["date"].dt.dayofweek != 6).astype(int)
    rows["promotion"] = generator.integers(0, 2, len(rows))
    rows["price"] = generator.uniform(1, 9, len(rows)).round(2)
    rows["customers"] = rows["open"] * generator.integers(50, 500, len(rows))
    rows["sales"] = rows["open"] * np.exp(generator.normal(4 + rows["promotion"], 0.8)).round(2)
    cut = dates[days]
    train = rows[rows["date"] < cut]
    test = rows[(rows["date"] >= cut) & rows["shop"].isin([f"shop{shop}" for shop in range(4)])]
    test = test.drop(columns=["customers", "sales"]).reset_index(drop=True)
    test.insert(0, "id", np.arange(1, len(test) + 1))
    sample = pd.DataFrame({"id": test["id"], "sales": 0})
    return _written(folder, train=train, test=test, sample=sample)


def sequence(folder: Path) -> dict[str, Path | None]:
    """Groups of 20 rows given whole, as in Ventilator Pressure Prediction; test groups are new."""
    generator = np.random.default_rng(1)
    parts = []
    for group in range(40):
        step = np.cumsum(np.r_[0.0, generator.uniform(0.03, 0.034, 19)])
        flow = generator.uniform(0, 100, 20)
        parts.append(
            pd.DataFrame(
                {
                    "breath_id": 3 * group + 1,
                    "R": generator.choice([5, 20, 50]),
                    "time_step": step,
                    "u_in": flow,
                    "u_out": (step > 0.3).astype(int),
                    "pressure": flow.cumsum() / 50 + generator.normal(0, 1, 20),
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    rows.insert(0, "id", np.arange(1, len(rows) + 1))
    test = rows.iloc[600:].drop(columns="pressure")
    return _written(folder, train=rows.iloc[:600], test=test, sample=test[["id"]].assign(pressure=0))


def walmart(folder: Path) -> dict[str, Path | None]:
    """Weekly sales by store and department, ids composed as Store_Dept_Date, a few weeks missing."""
    generator = np.random.default_rng(2)
    fridays = pd.date_range("2010-02-05", periods=120, freq="W-FRI")
    rows = pd.DataFrame(
        [(store, dept, date) for store in (1, 2, 10) for dept in (1, 2, 3, 11) for date in fridays],
        columns=["Store", "Dept", "Date"],
    )
    rows["Weekly_Sales"] = generator.normal(1000, 900, len(rows)).round(2)
    rows["IsHoliday"] = rows["Date"].isin(fridays[::13])
    rows = rows.drop(index=generator.choice(len(rows), 20, replace=False))
    train, test = rows[rows["Date"] < fridays[108]], rows[rows["Date"] >= fridays[108]]
    test = test.drop(columns="Weekly_Sales")
    dates = test["Date"].dt.strftime("%Y-%m-%d")
    written = test["Store"].astype(str) + "_" + test["Dept"].astype(str) + "_" + dates
    return _written(folder, train=train, test=test, sample=pd.DataFrame({"Id": written, "Weekly_Sales": 0}))


def _written(folder: Path, **tables: pd.DataFrame) -> dict[str, Path | None]:
    files: dict[str, Path | None] = {}
    for name, table in tables.items():
        files[name] = folder / f"{name}.csv"
        table.to_csv(files[name], index=False)
    return files


def test_retail(tmp_path: Path) -> None:
    competition = drafted(tmp_path, "shops", **retail(tmp_path))
    assert (competition.task, competition.series, competition.time) == ("horizon", ["shop"], "date")
    assert (competition.frequency, competition.row_id, competition.target) == ("D", ["id"], ["sales"])
    columns = competition.columns
    assert columns.static_categorical == ["region"]
    assert set(columns.known_real) == {"open", "promotion", "price"}
    assert columns.past_real == ["customers"]
    assert competition.seasonality == [7]
    assert competition.target_transform == "log1p"
    assert competition.judged == "open != 0"
    assert [post.kind for post in competition.post] == ["clip", "zero_where"]
    assert (competition.local.kind, competition.local.series) == ("horizon", "test")
    panel = built(competition)
    assert (panel.series, int(panel.test.sum())) == (6, 4 * 14)


def emptied(file: Path | None, column: str, rows: int | None = None) -> None:
    """Write a test file anew with its column blank, in all rows but the first `rows` that have it."""
    assert file is not None
    test, train = pd.read_csv(file), pd.read_csv(file.with_name("train.csv"))
    blank = pd.Series(np.nan, index=test.index, dtype=object)
    blank.iloc[: rows or 0] = train[column].iloc[: rows or 0]
    test.assign(**{column: blank}).to_csv(file, index=False)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (0, "customers: empty in the test file; known_real if"),
        (3, "customers: missing in 95% of the test file's rows, in 0% of the training file's; known_real if"),
    ],
)
def test_what_asked_rows_do_not_show_is_not_known_ahead(tmp_path: Path, rows: int, reason: str) -> None:
    files = retail(tmp_path)
    emptied(files["test"], "customers", rows)
    emptied(files["test"], "region")  # the history of each series shows it
    competition = drafted(tmp_path, "shops", **files)
    assert competition.columns.past_real == ["customers"]
    assert set(competition.columns.known_real) == {"open", "promotion", "price"}
    assert competition.columns.static_categorical == ["region"]
    text = (tmp_path / "conf" / "competition" / "shops.yaml").read_text()
    assert reason in text.replace("\n  #", "")
    assert "region: one value in each series, although empty in the test file" in text
    panel = built(competition)
    assert panel.frame["customers"][panel.test].isna().all()


def test_gaps_of_both_files_stay_known(tmp_path: Path) -> None:
    files = retail(tmp_path)
    for file, every in ((files["train"], 3), (files["test"], 2)):
        assert file is not None
        table = pd.read_csv(file)
        table["price"] = table["price"].where(table.index % every == 0)
        table.to_csv(file, index=False)
    assert "price" in drafted(tmp_path, "shops", **files).columns.known_real


@pytest.mark.parametrize("column", ["u_in", "R"])
@pytest.mark.parametrize("rows", [0, 10])
def test_what_asked_groups_do_not_show_is_ignored(tmp_path: Path, column: str, rows: int) -> None:
    files = sequence(tmp_path)
    emptied(files["test"], column, rows)
    competition = drafted(tmp_path, "breaths", **files)
    assert competition.columns.ignored == [column]
    assert column not in (*competition.columns.known_real, *competition.columns.static_categorical)
    built(competition)


def test_a_target_that_is_blank_in_the_test_file(tmp_path: Path) -> None:
    files = retail(tmp_path)
    for file in files.values():
        assert file is not None
        table = pd.read_csv(file).rename(columns={"sales": "loaves"})
        table.assign(**({"loaves": np.nan} if file == files["test"] else {})).to_csv(file, index=False)
    competition = drafted(tmp_path, "shops", **files)
    assert (competition.target, competition.files.solution) == (["loaves"], None)
    built(competition)


def test_sequence(tmp_path: Path) -> None:
    competition = drafted(tmp_path, "breaths", **sequence(tmp_path))
    assert (competition.task, competition.series, competition.time) == (
        "sequence",
        ["breath_id"],
        "time_step",
    )
    assert (competition.row_id, competition.target, competition.frequency) == (["id"], ["pressure"], None)
    assert competition.columns.static_categorical == ["R"]
    assert competition.columns.known_real == ["elapsed", "u_in", "u_out"]
    assert competition.folds.kind == "grouped"
    assert competition.local.kind == "groups"
    assert built(competition).series == 40


def renamed(files: dict[str, Path | None], old: str, new: str) -> None:
    for file in files.values():
        assert file is not None
        pd.read_csv(file).rename(columns={old: new}).to_csv(file, index=False)


@pytest.mark.parametrize("name", ["is open", "open?", "class"])
def test_a_flag_that_no_expression_can_name(tmp_path: Path, name: str) -> None:
    files = retail(tmp_path)
    renamed(files, "open", name)
    competition = drafted(tmp_path, "shops", **files)
    assert name in competition.columns.known_real
    assert (competition.judged, [post.kind for post in competition.post]) == (None, ["clip"])
    text = (tmp_path / "conf" / "competition" / "shops.yaml").read_text()
    assert f"rows with {name} = 0, but no expression can name that column" in text.replace("\n# ", " ")
    built(competition)


def test_the_next_flag_is_taken_where_one_cannot_be_named(tmp_path: Path) -> None:
    files = retail(tmp_path)
    for file in (files["train"], files["test"]):
        assert file is not None
        table = pd.read_csv(file)
        table.insert(2, "is open", table["open"])
        table.to_csv(file, index=False)
    assert drafted(tmp_path, "shops", **files).judged == "open != 0"


def test_a_time_that_no_expression_can_name(tmp_path: Path) -> None:
    files = sequence(tmp_path)
    renamed(files, "time_step", "time step")
    competition = drafted(tmp_path, "breaths", **files)
    assert (competition.time, competition.derive) == ("time step", {})
    assert competition.columns.known_real == ["u_in", "u_out"]
    built(competition)


def test_composed_row_id(tmp_path: Path) -> None:
    competition = drafted(tmp_path, "weekly", **walmart(tmp_path))
    assert competition.row_id == ["Store", "Dept", "Date"]
    assert (competition.row_id_separator, competition.submission.row_id) == ("_", "Id")
    assert sorted(competition.series) == ["Dept", "Store"]
    assert competition.frequency == "W-FRI"
    assert competition.target_transform == "none"  # sales go below zero
    assert competition.post == []
    panel = built(competition)
    assert panel.series == 12
    assert set(panel.official_id[panel.test]) == set(pd.read_csv(tmp_path / "sample.csv")["Id"])


@pytest.mark.parametrize(
    ("separator", "columns"),
    [
        ("", ["Store", "Date"]),
        ("|", ["Date", "Dept", "Store"]),
        ("-", ["Date", "Store", "Dept", "IsHoliday"]),
    ],
)
def test_composed_row_id_in_another_order(tmp_path: Path, separator: str, columns: list[str]) -> None:
    """Neither the sample's rows nor the parts of its ids stand as in the test file."""
    files = walmart(tmp_path)
    test = pd.read_csv(tmp_path / "test.csv", dtype=str)
    if len(columns) == 2:
        for name in ("train", "test"):
            table = pd.read_csv(tmp_path / f"{name}.csv", dtype=str)
            table[table["Dept"] == "1"].drop(columns="Dept").to_csv(tmp_path / f"{name}.csv", index=False)
        test = test[test["Dept"] == "1"]
    written = test[columns].agg(separator.join, axis=1).sample(frac=1, random_state=0)
    pd.DataFrame({"Id": written, "Weekly_Sales": 0}).to_csv(tmp_path / "sample.csv", index=False)
    competition = drafted(tmp_path, "weekly", **files)
    assert (competition.row_id, competition.row_id_separator) == (columns, separator)
    built(competition)


@pytest.mark.parametrize("kind", ["strange", "digits", "ones"])
def test_ids_that_nothing_composes_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    """40 columns, most of which an id can begin with where its kind is not strange."""
    files = retail(tmp_path)
    generator = np.random.default_rng(0)
    for file in (files["train"], files["test"]):
        assert file is not None
        table = pd.read_csv(file)
        one = kind == "ones"
        more = {f"c{i}": 1 if one else generator.integers(0, 10, len(table)) for i in range(35)}
        table.assign(**more).to_csv(file, index=False)
    if kind == "digits":
        ids = [f"{number:04}" for number in generator.permutation(10_000)[:9_000]]
    else:
        ids = ["1_1_1_1" if kind == "ones" else "first", *(f"id{number}" for number in range(55))]
    pd.DataFrame({"key": ids, "sales": 0}).to_csv(tmp_path / "sample.csv", index=False)
    with within(20), pytest.raises(InputError, match=r"'key'.*nor composed of up to 4 of its columns"):
        drafted(tmp_path, "wide", **files)


def test_only_a_training_file(tmp_path: Path) -> None:
    files = retail(tmp_path)
    competition = drafted(tmp_path, "alone", train=files["train"])
    assert (competition.files.test, competition.files.sample) == (None, None)
    assert (competition.horizon, competition.frequency) == (14, "D")
    assert competition.target == ["sales"]
    assert competition.columns.static_categorical == ["region"]
    assert "price" in competition.columns.past_real  # nothing shows that it is known ahead


@pytest.mark.parametrize(
    ("written", "expected"),
    [("%d/%m/%Y", "%d/%m/%Y"), ("%m/%d/%Y", "%m/%d/%Y"), ("%d.%m.%Y", "%d.%m.%Y"), ("%Y%m%d", "%Y%m%d")],
)
def test_date_formats(tmp_path: Path, written: str, expected: str) -> None:
    files = retail(tmp_path)
    for file in (files["train"], files["test"]):
        assert file is not None
        table = pd.read_csv(file, parse_dates=["date"])
        table["date"] = table["date"].dt.strftime(written)
        table.to_csv(file, index=False)
    competition = drafted(tmp_path, "dates", **files)
    assert (competition.date_format, competition.frequency) == (expected, "D")
    built(competition)


@pytest.mark.parametrize(
    ("rule", "expected", "season"),
    [("h", "h", 24), ("15min", "15min", 96), ("B", "B", 5), ("MS", "MS", 12), ("ME", "ME", 12)],
)
def test_frequencies(tmp_path: Path, rule: str, expected: str, season: int) -> None:
    dates = pd.date_range("2015-01-01", periods=300, freq=rule)
    table = pd.DataFrame({"when": dates, "load": np.random.default_rng(0).normal(50, 3, 300)})
    competition = drafted(tmp_path, "one", **_written(tmp_path, train=table))
    assert (competition.frequency, competition.seasonality[0], competition.series) == (expected, season, [])
    assert built(competition).rows == 300 + (competition.horizon or 0)


@pytest.mark.parametrize(
    ("rule", "expected", "periods", "horizon"),
    [
        ("2W-SUN", "2W-SUN", [26], 6),
        ("3W-FRI", "3W-FRI", [], 4),  # a year is no whole number of steps
        ("4W-WED", "4W-WED", [13], 3),
        ("2D", "2D", [], 10),
    ],
)
def test_frequencies_of_several_steps(
    tmp_path: Path, rule: str, expected: str, periods: list[int], horizon: int
) -> None:
    dates = pd.date_range("2015-01-01", periods=100, freq=rule)
    table = pd.DataFrame({"when": dates, "load": np.random.default_rng(0).normal(50, 3, 100)})
    competition = drafted(tmp_path, "one", **_written(tmp_path, train=table))
    assert (competition.frequency, competition.seasonality) == (expected, periods)
    assert competition.horizon == horizon
    panel = built(competition)
    assert panel.rows == 100 + horizon
    assert panel.timestamp is not None
    assert set(np.diff(panel.timestamp)) == {dates[1] - dates[0]}


def test_two_weeks_through_a_run(tmp_path: Path) -> None:
    dates = pd.date_range("2015-01-04", periods=120, freq="2W-SUN")
    rows = pd.DataFrame([(shop, date) for shop in "ab" for date in dates], columns=["shop", "date"])
    rows["sales"] = np.random.default_rng(0).normal(50, 3, len(rows)).round(2)
    rows = rows.drop(index=[30, 31])  # a gap
    later = rows["date"] >= dates[-6]
    files = _written(tmp_path, train=rows[~later], test=rows[later].drop(columns="sales"))
    competition = drafted(tmp_path, "shops", **files)
    assert (competition.frequency, competition.seasonality) == ("2W-SUN", [26])
    words = [f"root={tmp_path}", "stage=baseline", "executor=inline"]
    assert main(["--config-dir", str(tmp_path / "conf"), "competition=shops", *words]) == 0


def test_test_file_with_the_truth(tmp_path: Path) -> None:
    files = retail(tmp_path)
    assert files["test"] is not None
    test = pd.read_csv(files["test"])
    test.assign(sales=1.5).to_csv(files["test"], index=False)
    competition = drafted(tmp_path, "known", train=files["train"], test=files["test"])
    assert (competition.target, competition.files.solution, competition.local.kind) == (
        ["sales"],
        "test.csv",
        "solution",
    )


def test_rossmann(tmp_path: Path) -> None:
    folder = real_data("rossmann")
    files = {key: folder / f"{name}.csv.gz" for key, name in (("train", "train"), ("test", "test"))}
    competition = drafted(tmp_path, "stores", **files, sample=folder / "sample_submission.csv.gz")
    assert (competition.task, competition.series, competition.time) == ("horizon", ["Store"], "Date")
    assert (competition.frequency, competition.row_id, competition.target) == ("D", ["Id"], ["Sales"])
    assert competition.columns.known_categorical == ["DayOfWeek", "StateHoliday"]
    assert competition.columns.known_real == ["Open", "Promo", "SchoolHoliday"]
    assert competition.columns.past_real == ["Customers"]
    assert competition.judged == "Open != 0"
    assert competition.target_transform == "log1p"


def test_every_guess_has_a_reason_and_the_next_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = retail(tmp_path)
    out = tmp_path / "mine"
    words = [f"{key}={file}" for key, file in files.items()]
    assert main(["new=shops", *words, f"out={out}"]) == 0
    assert f"--config-dir {out} competition=shops" in capsys.readouterr().out
    lines = (out / "competition" / "shops.yaml").read_text().splitlines()
    for key in ("task", "row_id", "series", "time", "frequency", "target", "metric", "folds", "local"):
        place = next(index for index, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[place - 1].startswith("# "), key
    assert "customers: not in the test file" in "\n".join(lines)


def test_an_existing_draft_is_not_overwritten(tmp_path: Path) -> None:
    files = retail(tmp_path)
    drafted(tmp_path, "shops", **files)
    file = tmp_path / "conf" / "competition" / "shops.yaml"
    file.write_text("mine")
    with pytest.raises(InputError, match=r"shops.yaml is there already"):
        drafted(tmp_path, "shops", **files)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["new=mine"], "train=FILE is missing"),
        (["new=mine", "train=nope.csv"], "train=nope.csv: the file does not exist"),
        (["new=a/b", "train=nope.csv"], "'a/b'"),
        (["new=mine", "trian=nope.csv"], "did you mean 'train'"),
        (["new=mine", "train=nope.csv", "test"], "'test' stands alone"),
    ],
)
def test_bad_words(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_files_that_allow_no_guess(tmp_path: Path) -> None:
    text = _written(tmp_path, train=pd.DataFrame({"a": list("xyz"), "b": list("uvw")}))
    with pytest.raises(InputError, match="none can be the target"):
        drafted(tmp_path, "text", **text)
    timeless = _written(tmp_path, train=pd.DataFrame({"a": [3.5, 1.5, 2.5], "y": [1.0, 1.0, 2.0]}))
    with pytest.raises(InputError, match="no time column"):
        drafted(tmp_path, "timeless", **timeless)
    files = retail(tmp_path)
    pd.DataFrame({"key": ["q1", "q2"], "sales": 0}).to_csv(tmp_path / "sample.csv", index=False)
    with pytest.raises(InputError, match=r"'key'.*neither a column of the test file nor composed"):
        drafted(tmp_path, "strange", **files)
