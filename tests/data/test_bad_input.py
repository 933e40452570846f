"""What bad input gets: one line that names file, column, row or key, what was found and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.build_panel import panel_of, read_competition, read_solution
from data.errors import InputError
from tests.data import shop
from tests.data.shop import competition, panel, write

TRAIN, TEST, SHOP, SAMPLE = shop.TRAIN, shop.TEST, shop.SHOP, shop.SAMPLE


def without(text: str, column: str) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    at = rows[0].index(column)
    return "".join(",".join(row[:at] + row[at + 1 :]) + "\n" for row in rows)


def with_column(text: str, column: str) -> str:
    header, *lines = text.splitlines()
    return "\n".join([f"{header},{column}", *(f"{line},1" for line in lines)]) + "\n"


FILES: dict[str, tuple[str, str | bytes | None, list[str]]] = {
    "missing target": (
        "train.csv",
        TRAIN.replace("sales", "sale"),
        ["train.csv", "'sales' is missing", "'sale'"],
    ),
    "missing covariate": ("test.csv", without(TEST, "price"), ["test.csv", "'price'", "columns.known_real"]),
    "missing key": ("test.csv", without(TEST, "shop"), ["test.csv", "'shop' is missing"]),
    "missing id": ("test.csv", TEST.replace("row", "rwo"), ["test.csv", "'row' is missing", "'rwo'"]),
    "extra in test": ("test.csv", with_column(TEST, "sals"), ["test.csv", "extra column 'sals'", "'sales'"]),
    "extra in train": (
        "train.csv",
        with_column(TRAIN, "rain"),
        ["train.csv", "extra column 'rain'", "ignored"],
    ),
    "text in a real": (
        "test.csv",
        TEST.replace("12,1,2020-01-05,0,0,1.5", "12,1,2020-01-05,0,0,dear"),
        ["test.csv: row 2", "'price'", "'dear'", "a number"],
    ),
    "text in the target": (
        "train.csv",
        TRAIN.replace("01-02,6", "01-02,six"),
        ["train.csv: row 2", "'sales'", "'six'", "a number"],
    ),
    "date as a real": (
        "train.csv",
        TRAIN.replace("1.5", "2020-01-01").replace("2.5", "2020-01-01").replace("2.0", "2020-01-01"),
        ["'price'", "expected a number"],
    ),
    "doubled id": ("test.csv", TEST.replace("21,", "12,"), ["test.csv", "'12'", "rows 2 and 3", "twice"]),
    "empty id": ("test.csv", TEST.replace("21,", ",", 1), ["test.csv: row 3", "empty id", "row"]),
    "doubled row": (
        "train.csv",
        TRAIN + "1,2020-01-02,6,60,1,0,1.5\n",
        ["train.csv: row 6", "shop=1, date=2020-01-02", "train.csv: row 2"],
    ),
    "train row in test": (
        "test.csv",
        TEST.replace("2020-01-04,1,0,1.5", "2020-01-03,1,0,1.5"),
        ["test.csv: row 1", "date=2020-01-03", "train.csv: row 3"],
    ),
    "unknown static key": (
        "shop.csv",
        SHOP.replace("2,y", "4,y"),
        ["train.csv: row 4", "shop=2", "shop.csv"],
    ),
    "doubled static key": ("shop.csv", SHOP + "1,x,9\n", ["shop.csv: row 4", "shop=1", "twice"]),
    "missing static column": ("shop.csv", without(SHOP, "area"), ["'area'", "columns.static_real"]),
    "join without key": ("shop.csv", SHOP.replace("shop", "store"), ["shop.csv", "'shop' is missing"]),
    "NaN target": (
        "train.csv",
        TRAIN.replace("01-02,6", "01-02,"),
        ["train.csv: row 2", "'sales'", "missing"],
    ),
    "infinite target": (
        "train.csv",
        TRAIN.replace("01-02,6", "01-02,inf"),
        ["train.csv: row 2", "'sales'", "inf"],
    ),
    "infinite covariate": (
        "test.csv",
        TEST.replace("0,0,1.5", "0,0,-inf"),
        ["test.csv: row 2", "'price'", "-inf"],
    ),
    "huge covariate": ("train.csv", TRAIN.replace("2.5", "1e300"), ["train.csv: row 4", "'price'", "1e+300"]),
    "no date": (
        "train.csv",
        TRAIN.replace("1,2020-01-02", "1,2020-13-02"),
        ["train.csv: row 2", "'date'", "2020-13-02", "date"],
    ),
    "no date in test": (
        "test.csv",
        TEST.replace("2020-01-05", "soon", 1),
        ["test.csv: row 2", "'date'", "'soon'"],
    ),
    "missing date": ("test.csv", TEST.replace("2020-01-05", "", 1), ["test.csv: row 2", "'date'", "a time"]),
    "off the calendar": (
        "train.csv",
        TRAIN.replace("1,2020-01-02", "1,2020-01-02 07:00:00"),
        ["train.csv: row 2", "'date'", "07:00", "frequency D"],
    ),
    "missing series key": ("train.csv", TRAIN.replace("\n2,", "\n,"), ["train.csv: row 4", "'shop'"]),
    "no history": (
        "test.csv",
        TEST.replace("21,2,", "21,3,").replace("22,2,", "22,3,"),
        ["test.csv: row 3", "series 3", "no history", "train.csv"],
    ),
    "empty train": ("train.csv", "", ["train.csv", "empty"]),
    "only a header": ("test.csv", TEST.splitlines()[0] + "\n", ["test.csv", "no rows"]),
    "absent": ("test.csv", None, ["no file test.csv", "files there"]),
    "text that is not UTF-8": (
        "train.csv",
        TRAIN.replace("0,0,0,a,", "0,0,0,caf\xe9,").encode("latin-1"),
        ["train.csv: line 4", "'holiday'", "0xe9", "UTF-8"],
    ),
    "key that is not UTF-8": (
        "shop.csv",
        SHOP.replace("\n2,y", '\n"Z\xfcrich, 2",y').encode("latin-1"),
        ["shop.csv: line 3", "'shop'", "0xfc", "UTF-8"],
    ),
    "header that is not UTF-8": (
        "test.csv",
        TEST.replace("holiday,price", "holiday,pr\xe9cio").encode("latin-1"),
        ["test.csv: line 1, column 6", "0xe9", "UTF-8"],
    ),
    "UTF-16": ("train.csv", TRAIN.encode("utf-16"), ["train.csv: line 1, column 1", "0xff", "UTF-8"]),
    "sample misses an id": (
        "sample_submission.csv",
        SAMPLE.replace("21,0\n", ""),
        ["sample_submission.csv", "'21'", "test.csv", "1 of 4"],
    ),
    "sample has an id too much": (
        "sample_submission.csv",
        SAMPLE + "23,0\n",
        ["sample_submission.csv: row 5", "'23'", "test.csv"],
    ),
    "sample has an id twice": ("sample_submission.csv", SAMPLE + "22,0\n", ["'22'", "rows 4 and 5"]),
    "sample without the target": (
        "sample_submission.csv",
        SAMPLE.replace("sales", "sale"),
        ["sample_submission.csv", "'sales' is missing", "'sale'"],
    ),
    "sample with another column": (
        "sample_submission.csv",
        with_column(SAMPLE, "note"),
        ["sample_submission.csv", "'note'", "row, sales"],
    ),
}


@pytest.mark.parametrize("case", list(FILES))
def test_a_broken_file(tmp_path: Path, case: str) -> None:
    name, content, words = FILES[case]
    folder = write(tmp_path)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as raised:
        panel_of(read_competition(competition(), folder))
    assert_says(raised.value, words)


def assert_says(error: InputError, words: list[str]) -> None:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 600
    for word in words:
        assert word in message, message


SETTINGS = {
    "task": ("task: horizn", ["unknown task 'horizn'", "'horizon'"]),
    "metric": ("metric: [{name: mea}]", ["unknown metric 'mea'", "'mae'"]),
    "no target": ("target: []", ["target names no column"]),
    "frequency": ("frequency: daily", ["unknown frequency 'daily'"]),
    "role twice": ("columns: {known_real: [open, price, area]}", ["'area'", "two roles"]),
    "target as input": ("columns: {known_real: [open, price, sales]}", ["target 'sales'", "known_real"]),
    "judged": ("judged: opn == 1", ["'opn'", "'open'", "judged"]),
    "judged grammar": ("judged: open = 1", ["judged", "position 6"]),
    "post reads the target": (
        "post: [{kind: zero_where, settings: {where: sales == 0}}]",
        ["post", "'sales'", "not known for test rows"],
    ),
    "derive leaks": (
        "{derive: {rich: visitors > 60}, columns: {known_real: [open, price, rich]}}",
        ["derive.rich", "'visitors'", "not known ahead"],
    ),
    "derive leaks in two steps": (
        "{derive: {a: sales + 1, b: a * 2}, columns: {static_real: [area, b]}}",
        ["derive.b", "'a'", "not known ahead"],
    ),
    "derive unknown": (
        "{derive: {a: pric + 1}, columns: {known_real: [a]}}",
        ["'pric'", "derive.a", "'price'"],
    ),
    "static that changes": (
        "columns: {static_real: [price], known_real: [open]}",
        ["'price'", "not constant", "2"],
    ),
    "fill unknown": ("fill: {opne: 1}", ["'opne'", "'open'"]),
    "stratify": ("folds: {stratify: [knd]}", ["'knd'", "'kind'"]),
    "seasonality": ("seasonality: [0]", ["seasonality"]),
    "transform": ("target_transform: log", ["train.csv: row 3", "'sales'", "above 0"]),
    "reader": ("reader: m5", ["unknown reader 'm5'", "'m4'"]),
    "weight": ("{weight: price, derive: {w: 0 - price}}|weight: w", ["'w'", "0 or more"]),
}


@pytest.mark.parametrize("case", list(SETTINGS))
def test_a_broken_setting(tmp_path: Path, case: str) -> None:
    change, words = SETTINGS[case]
    with pytest.raises(InputError) as raised:
        panel(tmp_path, *change.split("|"))
    assert_says(raised.value, words)


def test_log1p_takes_what_is_above_minus_one(tmp_path: Path) -> None:
    change = "{target_transform: log1p, judged: open == 1}"
    made = panel(tmp_path / "a", change, files={"train.csv": TRAIN.replace("01-02,6", "01-02,-0.5")})
    assert -0.5 in made.target[made.weight > 0]
    with pytest.raises(InputError) as raised:
        panel(tmp_path / "b", change, files={"train.csv": TRAIN.replace("01-02,6", "01-02,-1")})
    assert_says(raised.value, ["train.csv: row 2", "'sales'", "found -1", "above -1", "log1p"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("row,sales\n11,1\n12,2\n21,0\n", ["solution.csv", "'22'", "missing"]),
        ("row,sales\n11,1\n12,2\n21,0\n22,4\n23,4\n", ["solution.csv: row 5", "'23'"]),
        ("row,truth\n11,1\n12,2\n21,0\n22,4\n", ["solution.csv", "'sales' is missing"]),
        (
            "row,sales\n11,inf\n12,2\n21,0\n22,4\n",
            ["solution.csv: row 1", "'sales'", "inf", "a finite number"],
        ),
        ("row,sales\n11,1\n12,x\n21,0\n22,4\n", ["solution.csv: row 2", "'sales'", "'x'", "a number"]),
        ('row,sales\n11,1\n12,\n21,0\n22,"1,5"\n', ["solution.csv: row 4", "'sales'", "'1,5'", "a number"]),
        (
            "row,sales\n11,2020-01-01\n12,2020-01-01\n21,\n22,\n",
            ["solution.csv: row 1", "'sales'", "a number"],
        ),
    ],
)
def test_a_broken_solution(tmp_path: Path, content: str, words: list[str]) -> None:
    tables = read_competition(competition(), write(tmp_path, {"solution.csv": content}))
    made = panel_of(tables)
    with pytest.raises(InputError) as raised:
        read_solution(tables, made)
    assert_says(raised.value, words)


def test_a_group_in_both_files_of_a_sequence_task(tmp_path: Path) -> None:
    base = (
        "{name: tiny, task: sequence, files: {sample: null}, row_id: [id], series: [g], time: t, target: [y],"
        " metric: [{name: mae}]}"
    )
    (tmp_path / "train.csv").write_text("id,g,t,y\n1,a,0,1\n2,b,0,1\n")
    (tmp_path / "test.csv").write_text("id,g,t\n1,c,0\n2,b,1\n")
    with pytest.raises(InputError) as raised:
        panel_of(read_competition(competition(base=base), tmp_path))
    assert_says(raised.value, ["test.csv: row 2", "series b", "train.csv: row 2"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("t,y\n20200101,1\n20200102,2\n", ["train.csv: row 1", "'t'", "date_format"]),
        ("t,y\n31.01.2020,1\n01.02.2020,2\n", ["train.csv: row 1", "31.01.2020", "date_format"]),
        ("t,y\n1900-01-01,1\n2020-01-02,2\n", ["frequency", "43832 steps", "3 rows"]),
    ],
)
def test_times_that_do_not_fit_the_frequency(tmp_path: Path, content: str, words: list[str]) -> None:
    base = (
        "{name: tiny, files: {test: null, sample: null}, time: t, frequency: D, target: [y], horizon: 1,"
        " metric: [{name: mae}]}"
    )
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(InputError) as raised:
        panel_of(read_competition(competition(base=base), tmp_path))
    assert_says(raised.value, words)
