"""Bad input through the real command line: one line that names it, exit code 2, nothing half-written."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.command import Finished, Root, apart, here
from tests.end_to_end.shops import write_competition

Spoil = Callable[[Path], None]


def table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Spoil:
    """Change the rows of a CSV."""

    def spoil(folder: Path) -> None:
        file = folder / "raw" / f"{name}.csv"
        rows = pd.read_csv(file, dtype=object)
        result = change(rows)
        (rows if result is None else result).to_csv(file, index=False)

    return spoil


def cell(name: str, row: int, column: str, value: object) -> Spoil:
    """Write one cell."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[row, column] = value

    return table(name, change)


def yaml(old: str, new: str) -> Spoil:
    """Change the competition's YAML."""

    def spoil(folder: Path) -> None:
        file = folder / "conf" / "competition" / "shops.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return spoil


def truncate_gzip(folder: Path) -> None:
    file = folder / "raw" / "train.csv"
    content = gzip.compress(file.read_bytes())
    file.unlink()
    file.with_name("train.csv.gz").write_bytes(content[: len(content) // 2])


def remove(name: str) -> Spoil:
    return lambda folder: (folder / "raw" / name).unlink()


def empty(folder: Path) -> None:
    (folder / "raw" / "train.csv").write_text("")


#: What is wrong; how it comes about; what the line must name.
SPOILT: list[tuple[str, Spoil, list[str]]] = [
    ("missing file", remove("test.csv"), ["test.csv"]),
    ("missing folder", yaml("raw", "nowhere"), ["nowhere"]),
    ("truncated gzip", truncate_gzip, ["train.csv.gz"]),
    ("empty file", empty, ["train.csv"]),
    ("duplicated id", cell("test", 5, "id", "3"), ["test.csv", "3"]),
    (
        "duplicated row",
        table("train", lambda rows: pd.concat([rows, rows.iloc[[7]]])),
        ["train.csv", "shop0"],
    ),
    ("target is missing", cell("train", 11, "sales", None), ["train.csv", "sales"]),
    ("target is infinite", cell("train", 11, "sales", "inf"), ["train.csv", "sales"]),
    ("target is text", cell("train", 11, "sales", "many"), ["train.csv", "sales", "many"]),
    ("input is infinite", cell("train", 11, "promotion", "inf"), ["train.csv", "promotion"]),
    ("date that is none", cell("train", 11, "date", "2022-02-31"), ["train.csv", "date", "2022-02-31"]),
    (
        "missing column",
        table("train", lambda rows: rows.drop(columns="promotion")),
        ["train.csv", "promotion"],
    ),
    (
        "missing in test",
        table("test", lambda rows: rows.drop(columns="promotion")),
        ["test.csv", "promotion"],
    ),
    ("sample lacks a row", table("sample", lambda rows: rows.iloc[1:]), ["sample.csv", "1"]),
    ("sample has another row", cell("sample", 0, "id", "77"), ["sample.csv", "'1'"]),
    ("sample's column", table("sample", lambda rows: rows.rename(columns={"sales": "sold"})), ["sales"]),
    ("test row without history", cell("test", 0, "shop", "shop9"), ["test.csv", "shop9"]),
    ("test row in the past", cell("test", 0, "date", "2022-02-01"), ["test.csv", "2022-02-01"]),
    ("static value changes", cell("train", 11, "region", "west"), ["train.csv", "region"]),
    ("unknown column", yaml("[open, promotion]", "[open, promotoin]"), ["promotoin", "promotion"]),
    ("unknown key", yaml("seasonality:", "seasonalty:"), ["seasonalty", "seasonality"]),
    ("unknown feature", yaml("calendar:", "calender:"), ["calender", "calendar"]),
    ("setting of a feature", yaml("windows: [7]", "windows: [-7]"), ["rolling", "windows", "-7"]),
    ("expression", yaml("judged: open == 1", "judged: opne == 1"), ["opne", "open"]),
    ("broken YAML", yaml("row_id: [id]", "row_id: [id"), ["shops.yaml"]),
    ("too few rows", table("train", lambda rows: rows[rows["date"] > "2022-06-08"]), ["local", "10 rows"]),
]


def refused(finished: Finished, root: Root) -> str:
    """The one line of a command that was refused."""
    assert finished.code == 2, finished.out + finished.err
    *before, line = finished.err.splitlines()
    assert line.startswith("error: ")
    assert all(said.startswith(("prepare: ", "features: ", "baseline: ")) for said in before), finished.err
    assert "np." not in line
    assert "Traceback" not in finished.out
    if root.artifacts.exists():
        assert root.half_made() == []
    assert not root.submission().exists()
    return line


@pytest.mark.parametrize(("spoil", "named"), [case[1:] for case in SPOILT], ids=[case[0] for case in SPOILT])
def test_spoilt_files(spoil: Spoil, named: list[str], tmp_path: Path) -> None:
    words = write_competition(tmp_path)
    spoil(tmp_path)
    finished = here(*words, f"root={tmp_path}", "stage=features", "executor.name=inline")
    line = refused(finished, Root(tmp_path, "shops"))
    for name in named:
        assert name in line, line


@pytest.mark.slow
def test_in_processes_of_their_own(tmp_path: Path) -> None:
    """The same with workers: none of their words come between."""
    words = write_competition(tmp_path)
    yaml("windows: [7]", "windows: [-7]")(tmp_path)
    cell("train", 11, "sales", None)(tmp_path)
    finished = apart(*words, "executor.workers=2", folder=tmp_path)
    assert "train.csv" in refused(finished, Root(tmp_path, "shops"))
    finished = apart("--config-dir", "conf", "competition=shop", folder=tmp_path)
    assert "'shops'" in refused(finished, Root(tmp_path, "shops"))


def test_mended_file_is_read(tmp_path: Path) -> None:
    words = [*write_competition(tmp_path), f"root={tmp_path}", "stage=prepare", "executor.name=inline"]
    file = tmp_path / "raw" / "train.csv"
    good = file.read_text()
    file.write_text(good.replace("shop0,2022-01-04", "shop0,2022-01-03"))
    assert here(*words).code == 2
    file.write_text(good)
    finished = here(*words)
    assert finished.code == 0, finished.err
    file.write_text(good.replace("shop0,2022-01-04", "shop0,2022-01-03"))
    assert here(*words).code == 2
    root = Root(tmp_path, "shops")
    assert root.half_made() == []
    assert set(root.keys()) == {"prepare"}
    file.write_text(good)
    assert here(*words).stage("prepare").startswith("1 already done")


def test_root_that_cannot_be_written(tmp_path: Path) -> None:
    words = write_competition(tmp_path)
    (tmp_path / "file").write_text("")
    line = refused(here(*words, f"root={tmp_path / 'file'}"), Root(tmp_path / "file", "shops"))
    assert "root=FOLDER" in line


@pytest.mark.parametrize(
    "word", ["member.bilstm.hidden=0", "member.lightgbm.rounds=-1", "member.bilstm.fit.max_epochs=0"]
)
def test_wrong_setting_is_found_before_anything_is_read(word: str, tmp_path: Path) -> None:
    words = write_competition(tmp_path)
    finished = here(*words, f"root={tmp_path}", word)
    key, _, value = word.partition("=")
    assert f"{key}: found {value}, expected a whole number from 1 on" in refused(
        finished, Root(tmp_path, "shops")
    )
    assert not (tmp_path / "artifacts").exists()
