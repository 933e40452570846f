"""Reading tables: the same rows whatever the container, and one clear line for each broken file."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from data.errors import InputError
from data.raw_tables import raw_files, read_competition
from data.tables import find_table, read_table, stem
from tests.data.shop import competition, write

TEXT = b'id,when,x,kind\n007,2015-01-01,1,"0"\n008,2015-01-02,2.5,a\n009,2015-01-03,,0\n'


def as_gzip(content: bytes = TEXT) -> bytes:
    return gzip.compress(content, mtime=0)


def as_zip(names: list[str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT if "train" in name else b"a,b\n1,2\n")
    return stream.getvalue()


def as_parquet() -> bytes:
    stream = io.BytesIO()
    frame = pd.DataFrame(
        {
            "id": ["007", "008", "009"],
            "when": pd.to_datetime(["2015-01-01", "2015-01-02", "2015-01-03"]),
            "x": [1, 2.5, None],
            "kind": pd.Categorical(["0", "a", "0"]),
        }
    )
    frame.to_parquet(stream, index=False)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", TEXT),
        ("train.csv.gz", as_gzip()),
        ("train.csv.zip", as_zip(["train.csv"])),
        ("train.zip", as_zip(["folder/train.csv", "__MACOSX/._train.csv"])),
        ("everything.zip", as_zip(["test.csv", "train.csv"])),
        ("train.parquet", as_parquet()),
    ],
)
@pytest.mark.parametrize("declared", ["train.csv", "train.parquet"])
def test_containers_are_read_alike(tmp_path: Path, name: str, content: bytes, declared: str) -> None:
    (tmp_path / name).write_bytes(content)
    frame = read_table(tmp_path, declared, text=["id"])
    assert list(frame.columns) == ["id", "when", "x", "kind"]
    assert list(frame["id"]) == ["007", "008", "009"]
    assert list(frame["kind"]) == ["0", "a", "0"]
    assert frame["when"].dtype.kind == "M"
    assert frame["x"].tolist()[:2] == [1.0, 2.5]
    assert frame["x"].isna().tolist() == [False, False, True]


def test_the_declared_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "train.csv.gz").write_bytes(as_gzip())
    (tmp_path / "train.csv").write_bytes(TEXT)
    assert find_table(tmp_path, "train.csv.gz") == tmp_path / "train.csv.gz"
    assert find_table(tmp_path, "train.parquet") == tmp_path / "train.csv"
    assert find_table(tmp_path, "test.csv") is None
    assert [stem(name) for name in ("a.csv.gz", "a.zip", "a.b.csv", "a")] == ["a", "a", "a.b", "a"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters(tmp_path: Path, mark: str) -> None:
    (tmp_path / "train.csv").write_text(f"a{mark}b\n1{mark}x\n")
    assert read_table(tmp_path, "train.csv").to_dict("list") == {"a": [1], "b": ["x"]}


def test_ids_are_missing_only_where_they_are_empty(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text('id,x,kind\nNA,1,a\nnull,NA,NA\n,3,\n"",4,""\n"NA",NaN,"null"\n')
    read = read_table(tmp_path, "train.csv", text=["id"])
    assert read["id"].fillna("-").tolist() == ["NA", "null", "-", "-", "NA"]
    assert read["x"].isna().tolist() == [False, True, False, False, True]
    assert read["kind"].fillna("-").tolist() == ["a", "-", "-", "-", "-"]


def bytes_as_parquet(value: bytes) -> bytes:
    stream = io.BytesIO()
    pd.DataFrame({"id": ["1"], "kind": [value]}).to_parquet(stream, index=False)
    return stream.getvalue()


def test_text_beyond_ascii_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes("\ufeffgr\xf6\xdfe,b\nZ\xfcrich,\ufffd\n".encode())
    assert read_table(tmp_path, "train.csv").to_dict("list") == {
        "gr\xf6\xdfe": ["Z\xfcrich"],
        "b": ["\ufffd"],
    }
    (tmp_path / "test.parquet").write_bytes(bytes_as_parquet("Z\xfcrich".encode()))
    assert read_table(tmp_path, "test.csv")["kind"].tolist() == ["Z\xfcrich"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.csv", b"", ["train.csv", "empty"]),
        ("train.csv", b"a,b\n" + b"1,x\n" * 40_000 + b"1,\xe9\n", ["line 40002, column 'b'", "0xe9"]),
        ("train.csv.gz", as_gzip(b"a,b\n1,\xe9\n"), ["train.csv.gz: line 2, column 'b'", "0xe9"]),
        ("train.parquet", bytes_as_parquet(b"\xe9"), ["train.parquet", "UTF8"]),
        ("train.csv.gz", as_gzip(b""), ["train.csv.gz", "empty"]),
        ("train.csv", b"a,b\n", ["train.csv", "no rows", "a, b"]),
        ("train.csv", b"a,b\n1,2\n1,2,3\n", ["train.csv", "line 3", "3 columns", "2"]),
        ("train.csv", b"a,a\n1,2\n", ["train.csv", "'a'", "twice"]),
        ("train.csv.gz", as_gzip(TEXT * 3000)[:200], ["train.csv.gz", "cut off"]),
        ("train.csv.gz", TEXT, ["train.csv.gz", "damaged"]),
        ("train.parquet", as_parquet()[:-20], ["train.parquet", "cannot be read"]),
        ("train.zip", as_zip(["train.csv"])[:60], ["train.zip", "cannot be read"]),
        ("train.zip", as_zip(["one.csv", "two.csv"]), ["train.zip", "one.csv"]),
        ("trian.csv", TEXT, ["no file train.csv", "trian.csv"]),
    ],
    # Of the bytes themselves they would be: an archive holds the time at which it was made.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_files_are_said_in_one_line(
    tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_table(tmp_path, "train.csv")
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_table(tmp_path / "nowhere", "train.csv")
    toy = replace(competition(), kaggle="toy-sales")
    for read in (raw_files, read_competition):
        with pytest.raises(InputError, match=r"toy-sales\).* competition\.root=FOLDER"):
            read(toy, tmp_path / "nowhere")


def test_raw_files_are_those_that_are_read(tmp_path: Path) -> None:
    found = raw_files(competition(), write(tmp_path))
    assert sorted(found) == ["sample_submission.csv", "shop.csv", "solution.csv", "test.csv", "train.csv"]
    assert all(path.is_file() for path in found.values())
    (tmp_path / "shop.csv").unlink()
    with pytest.raises(InputError, match=r"no file shop\.csv"):
        raw_files(competition(), tmp_path)
