"""Submissions: the sample's rows whatever the predictions' order, and every fault named by its id."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from data.build_panel import panel_of, read_competition
from data.competition import Competition, Submission
from data.errors import InputError
from data.panel import Panel
from data.predictions import prediction_table
from submissions.build import submission_frame, submission_values, write_submission
from submissions.check import check_submission, main
from submissions.layout import layout_of, layout_of_sample
from tests.data.shop import competition as declared
from tests.panels import make_panel
from tests.real_data import real_data


def toy(targets: int = 1, composed: bool = False) -> tuple[Competition, Panel, pd.DataFrame]:
    """A horizon competition, its panel, and a sample in another order than the panel's."""
    competition, panel = make_panel("horizon")
    names = ["sales", "returns"][:targets]
    rows = np.flatnonzero(panel.test)
    if composed:
        series = panel.series_name[panel.series_of_row()]
        official = np.array(
            [
                f"{name}_{day}" if test else ""
                for name, day, test in zip(series, panel.time, panel.test, strict=True)
            ],
            dtype=object,
        )
        panel = replace(panel, official_id=official)
        competition.row_id = ["unique_id", "ds"]
        competition.submission = Submission(row_id=None, target=names)
    else:
        competition.row_id = ["Id"]
        competition.submission = Submission(row_id="Id", target=names)
    competition.target = names
    panel = replace(panel, target=panel.target[:, :targets], target_name=tuple(names))
    order = np.random.default_rng(3).permutation(len(rows))
    ids = panel.official_id[rows][order]
    if composed:
        parts = [whole.split("_") for whole in ids]
        sample = pd.DataFrame({"unique_id": [p[0] for p in parts], "ds": [p[1] for p in parts]})
    else:
        sample = pd.DataFrame({"Id": ids})
    return competition, panel, sample.assign(**dict.fromkeys(names, 0))


def predictions(panel: Panel) -> pd.DataFrame:
    rows = np.flatnonzero(panel.test)
    value = np.arange(len(rows) * len(panel.target_name), dtype=float).reshape(len(rows), -1) / 7
    return prediction_table(rows, rows, value)


def written(
    file: Path, competition: Competition, panel: Panel, sample: pd.DataFrame | None, table: pd.DataFrame
) -> bytes:
    layout = layout_of(competition, panel, sample)
    frame = submission_frame(layout, submission_values(panel, layout, table), competition.submission.decimals)
    write_submission(frame, file, competition.submission.decimals)
    assert check_submission(file, layout) == len(layout)
    return file.read_bytes()


@pytest.mark.parametrize("composed", [False, True])
@pytest.mark.parametrize("targets", [1, 2])
def test_rows_and_columns_are_the_samples(tmp_path: Path, targets: int, composed: bool) -> None:
    competition, panel, sample = toy(targets, composed)
    written(tmp_path / "s.csv", competition, panel, sample, predictions(panel))
    found = pd.read_csv(
        tmp_path / "s.csv", dtype=dict.fromkeys(["Id", "unique_id", "ds"], str), float_precision="round_trip"
    )
    assert list(found.columns) == list(sample.columns)
    ids = list(sample.columns[: 2 if composed else 1])
    pd.testing.assert_frame_equal(found[ids], sample[ids], check_dtype=False)
    table = predictions(panel)
    table["id"] = panel.official_id[table["row_id"]]
    for number, name in enumerate(panel.target_name):
        expected = table[table["target"] == number].set_index("id")["value"]
        key = sample[ids].agg("_".join, axis=1)
        np.testing.assert_array_equal(found[name], expected[key])


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_shuffled_predictions_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, random: object
) -> None:
    competition, panel, sample = toy(targets=2)
    table = predictions(panel)
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    folder = tmp_path_factory.mktemp("shuffled")
    one = written(folder / "a.csv", competition, panel, sample, table)
    assert written(folder / "b.csv", competition, panel, sample, table.iloc[order]) == one


def test_the_samples_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    competition, panel, sample = toy(targets=2)
    sample = sample[["returns", "Id", "sales"]]
    content = written(tmp_path / "s.csv", competition, panel, sample, predictions(panel))
    assert content.splitlines()[0] == b"returns,Id,sales"


def _without(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[np.arange(len(table)) != 4]


def _doubled(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[[4]]])


def _with_nan(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(value=np.where(np.arange(len(table)) == 4, np.nan, table["value"]))


def _with_infinity(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(value=np.where(np.arange(len(table)) == 4, np.inf, table["value"]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without, "has no prediction"),
        (_doubled, "predicted twice"),
        (_with_nan, "is nan"),
        (_with_infinity, "is inf"),
    ],
)
def test_a_bad_prediction_is_named_by_its_id(change: object, said: str) -> None:
    competition, panel, sample = toy()
    layout = layout_of(competition, panel, sample)
    identity = str(panel.official_id[predictions(panel)["row_id"].iloc[4]])
    with pytest.raises(InputError) as raised:
        submission_values(panel, layout, change(predictions(panel)))  # type: ignore[operator]
    assert repr(identity) in str(raised.value)
    assert said in str(raised.value)


def test_a_prediction_that_nobody_asked_is_named() -> None:
    competition, panel, sample = toy()
    panel = replace(panel, official_id=np.where(panel.test, panel.official_id, "before"))
    extra = pd.concat([predictions(panel), predictions(panel).iloc[[0]].assign(row_id=0)])
    with pytest.raises(InputError, match="'before' is not in"):
        submission_values(panel, layout_of(competition, panel, sample), extra)


def test_without_a_sample_the_ids_are_taken_apart() -> None:
    competition, panel, sample = toy(composed=True)
    layout = layout_of(competition, panel, None)
    assert layout.columns == ("unique_id", "ds", "sales")
    assert set(layout.identity) == set(sample["unique_id"] + "_" + sample["ds"])
    odd = replace(
        panel,
        series_name=np.array([f"a_{name}" for name in panel.series_name], dtype=object),
        official_id=np.array([f"a_{whole}" if whole else "" for whole in panel.official_id], dtype=object),
    )
    layout = layout_of(competition, odd, None)  # the separator stands in the series' own name
    assert layout.ids["unique_id"].iloc[0] == "a_s0"
    competition.row_id = ["state", "unique_id", "ds"]
    with pytest.raises(InputError, match="row_id_separator"):
        layout_of(
            competition,
            replace(odd, official_id=np.char.add(odd.official_id.astype(str), "_x_y").astype(object)),
            None,
        )


TIMED = """
{name: tiny, series: [shop], time: when, frequency: h, target: [y], metric: [{name: mae}],
 files: {sample: sample.csv}}
"""
TIMES = {
    "hourly": (
        "h",
        "2020-01-02 22:00:00",
        ["2020-01-02 23:00:00", "2020-01-03 00:00:00", "2020-01-03 01:00:00"],
    ),
    "a day's midnights": ("D", "2020-01-30 00:00:00", ["2020-01-31 00:00:00", "2020-02-01 00:00:00"]),
    "no seconds": ("h", "2020-01-02 23:00", ["2020-01-03 00:00", "2020-01-03 01:00"]),
    "T": ("h", "2020-01-02T23:00:00", ["2020-01-03T00:00:00", "2020-01-03T01:00:00"]),
    "zone": ("h", "2020-01-02T23:00:00Z", ["2020-01-03T00:00:00Z", "2020-01-03T01:00:00Z"]),
    "days": ("D", "2020-01-30", ["2020-01-31", "2020-02-01"]),
    "months": ("MS", "2020-01", ["2020-02", "2020-03"]),
    "numbers": ("null", "07", ["08", "09"]),
}


@pytest.mark.parametrize("ids", ["series and time", "time", "time by another name"])
@pytest.mark.parametrize("case", TIMES)
def test_a_time_in_an_id_stays_as_the_sample_has_it(tmp_path: Path, case: str, ids: str) -> None:
    frequency, last, asked = TIMES[case]
    alone, id_name = ids != "series and time", "Stamp" if ids == "time by another name" else "when"
    shop = "" if alone else "0a,"
    head = id_name if alone else "shop,when"
    (tmp_path / "train.csv").write_text(f"shop,when,y\n0a,{last},5\n")
    (tmp_path / "test.csv").write_text("shop,when\n" + "".join(f"0a,{when}\n" for when in asked))
    rows = [f"{shop}{when}" for when in reversed(asked)]
    (tmp_path / "sample.csv").write_text(f"{head},y\n" + "".join(f"{row},0\n" for row in rows))
    changes = [f"frequency: {frequency}", *(["{series: [], columns: {ignored: [shop]}}"] if alone else [])]
    changes += ["submission: {row_id: Stamp}"] if id_name == "Stamp" else []
    competition = declared(*changes, base=TIMED)
    tables = read_competition(competition, tmp_path)
    panel = panel_of(tables)
    content = written(tmp_path / "s.csv", competition, panel, tables.sample, predictions(panel)).decode()
    values = submission_values(panel, layout_of(competition, panel, tables.sample), predictions(panel))
    assert values[:, 0].tolist() == sorted(values[:, 0], reverse=True)  # each row its own prediction
    assert [line.rpartition(",")[0] for line in content.splitlines()] == [head, *rows]
    assert main([str(tmp_path / "s.csv"), f"sample={tmp_path / 'sample.csv'}"]) == 0


def test_an_id_that_was_rewritten_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("when,y\n2020-01-02 23:00:00,5\n")
    (tmp_path / "test.csv").write_text("when\n2020-01-03 00:00:00\n2020-01-03 01:00:00\n")
    (tmp_path / "sample.csv").write_text("when,y\n2020-01-03 00:00:00,0\n2020-01-03 01:00:00,0\n")
    competition = declared("series: []", base=TIMED)
    tables = read_competition(competition, tmp_path)
    layout = layout_of(competition, panel_of(tables), tables.sample)
    (tmp_path / "s.csv").write_text("when,y\n2020-01-03,0\n2020-01-03 01:00:00,1\n")
    with pytest.raises(InputError, match=r"id '2020-01-03 00:00:00' of sample\.csv is missing"):
        check_submission(tmp_path / "s.csv", layout)


@pytest.mark.parametrize("form", ["parquet", "none"])
def test_times_that_nobody_has_written_are_all_in_one_form(tmp_path: Path, form: str) -> None:
    asked = pd.date_range("2020-01-02 23:00", periods=3, freq="h")
    pd.DataFrame({"when": asked[:1] - pd.Timedelta("1h"), "y": 1.0}).to_parquet(tmp_path / "train.parquet")
    pd.DataFrame({"when": asked}).to_parquet(tmp_path / "test.parquet")
    pd.DataFrame({"when": asked, "y": 0}).to_parquet(tmp_path / "sample.parquet")
    changes = ["series: []", *(["files: {sample: null}"] if form == "none" else [])]
    competition = declared(*changes, base=TIMED)
    tables = read_competition(competition, tmp_path)
    panel = panel_of(tables)
    content = written(tmp_path / "s.csv", competition, panel, tables.sample, predictions(panel)).decode()
    expected = ["2020-01-02 23:00:00", "2020-01-03 00:00:00", "2020-01-03 01:00:00"]
    assert [line.split(",")[0] for line in content.splitlines()[1:]] == expected


def test_decimals_and_whole_numbers(tmp_path: Path) -> None:
    competition, panel, sample = toy()
    layout = layout_of(competition, panel, sample)
    value = np.full((len(layout), 1), -0.001)
    competition.submission.decimals = 2
    for decimals, expected in [(2, "0.00"), (0, "0"), (None, "-0.001")]:
        write_submission(submission_frame(layout, value, decimals), tmp_path / "s.csv", decimals)
        assert (tmp_path / "s.csv").read_text().splitlines()[1] == f"{layout.identity[0]},{expected}"
    write_submission(submission_frame(layout, np.full((len(layout), 1), 5.0)), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().splitlines()[1].endswith(",5")


def test_numbers_survive_to_the_last_bit(tmp_path: Path) -> None:
    competition, panel, sample = toy()
    layout = layout_of(competition, panel, sample)
    value = np.random.default_rng(0).normal(size=(len(layout), 1)) * 1e-9
    write_submission(submission_frame(layout, value), tmp_path / "s.csv")
    read = pd.read_csv(tmp_path / "s.csv", float_precision="round_trip")
    np.testing.assert_array_equal(read["sales"], value[:, 0])


def _third(lines: list[str], value: str) -> list[str]:
    """With another value in the third row."""
    return [*lines[:3], f"{lines[3].split(',')[0]},{value}", *lines[4:]]


FAULTS = {
    "row missing": (lambda x: x[:3] + x[4:], "id {third} of {sample} is missing"),
    "row doubled": (lambda x: [*x, x[3]], "Id {third} stands twice"),
    "row not asked": (lambda x: [*x, "99999,1.0"], "id '99999' is not in {sample}"),
    "other order": (lambda x: [x[0], x[2], x[1], *x[3:]], "row 1: id"),
    "empty value": (lambda x: _third(x, ""), "id {third}: sales is nan"),
    "NaN": (lambda x: _third(x, "NaN"), "id {third}: sales is nan"),
    "infinite": (lambda x: _third(x, "inf"), "id {third}: sales is inf"),
    "text": (lambda x: _third(x, "abc"), "id {third}: sales is 'abc'"),
    "date": (
        lambda x: [x[0], *(f"{line.split(',')[0]},2020-01-01" for line in x[1:])],
        "sales is 2020-01-01",
    ),
    "column missing": (lambda x: [line.split(",")[0] for line in x], "column 'sales' is missing"),
    "column misnamed": (lambda x: ["Id,sale", *x[1:]], "'sales' is missing; did you mean 'sale'?"),
    "column too many": (lambda x: ["Id,sales,more", *(line + ",1" for line in x[1:])], "'more' is not in"),
    "columns turned": (
        lambda x: [",".join(line.split(",")[::-1]) for line in x],
        "expected the order Id, sales",
    ),
    "empty file": (lambda x: [], "is empty"),
    "only a header": (lambda x: x[:1], "no rows"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    competition, panel, sample = toy()
    sample.to_csv(tmp_path / "sample.csv", index=False)
    written(tmp_path / "good.csv", competition, panel, sample, predictions(panel))
    words = [str(tmp_path / "good.csv"), f"sample={tmp_path / 'sample.csv'}"]
    assert main(words) == 0
    assert f"valid, {len(sample)} rows" in capsys.readouterr().out
    change, said = FAULTS[fault]
    lines = change((tmp_path / "good.csv").read_text().splitlines())
    (tmp_path / "bad.csv").write_text("".join(line + "\n" for line in lines))
    assert main([str(tmp_path / "bad.csv"), words[1]]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    expected = said.format(third=repr(sample["Id"].iloc[2]), sample=tmp_path / "sample.csv")
    assert expected in error


def test_check_runs_as_a_module_and_finds_composed_ids(tmp_path: Path) -> None:
    competition, panel, sample = toy(composed=True)
    sample.to_csv(tmp_path / "sample.csv", index=False)
    assert layout_of_sample(tmp_path / "sample.csv").id_columns == ("unique_id", "ds")
    written(tmp_path / "s.csv", competition, panel, sample, predictions(panel))
    command = [sys.executable, "-m", "submissions.check", str(tmp_path / "s.csv")]
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [*command, f"sample={tmp_path / 'sample.csv'}"], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "columns unique_id, ds, sales" in run.stdout
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("error: usage:")


def test_nothing_is_left_beside_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    competition, panel, sample = toy()
    layout = layout_of(competition, panel, sample)
    (tmp_path / "s.csv").mkdir()  # a folder stands in the way of the rename
    with pytest.raises(OSError):
        write_submission(submission_frame(layout, np.zeros((len(layout), 1))), tmp_path / "s.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_m4_has_no_sample_and_gets_its_own_columns(tmp_path: Path) -> None:
    folder = real_data("m4_hourly")
    file = Path(__file__).resolve().parents[2] / "pipeline" / "conf" / "competition" / "m4_hourly.yaml"
    declared = OmegaConf.merge(OmegaConf.structured(Competition), OmegaConf.load(file))
    tables = read_competition(OmegaConf.to_object(declared), folder)  # type: ignore[arg-type]
    panel = panel_of(tables)
    written(tmp_path / "s.csv", tables.competition, panel, tables.sample, predictions(panel))
    found = pd.read_csv(tmp_path / "s.csv")
    assert list(found.columns) == ["unique_id", "ds", "y"]
    assert tables.test is not None
    np.testing.assert_array_equal(found["unique_id"], tables.test["unique_id"])
    np.testing.assert_array_equal(found["ds"], tables.test["ds"].astype(int))
