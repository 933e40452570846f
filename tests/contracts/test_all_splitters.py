"""What every registered splitter keeps to, whatever the panel: nothing asked is fitted on, all asked once."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.competition import Competition, Folds, Local
from data.errors import InputError
from data.folds import Fold, Split
from data.panel import Panel
from data.scoring import asked_of
from data.split import history_end, horizon_of, make_split
from data.splitters.base import SPLITTERS
from data.splitters.exchange import export_folds
from tests.panels import HORIZON, make_panel

GROUPED = ("grouped", "stratified_grouped")
OF_TIME = ("rolling", "block")
Case = tuple[Competition, Panel]
pytestmark = pytest.mark.filterwarnings("ignore:The least populated class")


@st.composite
def sequence_cases(draw: st.DrawFn, kind: str) -> Case:
    """Groups of rows, some of them test groups; with and without a hold-out and kept-together columns."""
    competition, panel = make_panel("sequence", draw(st.integers(0, 10**6)), series=draw(st.integers(6, 24)))
    competition.folds = Folds(
        kind=kind,
        count=draw(st.integers(2, 4)),
        seed=draw(st.integers(0, 99)),
        group=draw(st.sampled_from([[], [], ["resistance"], ["resistance", "region"]])),
        stratify=["region"] if kind == "stratified_grouped" else [],
    )
    if draw(st.booleans()):
        competition.local = Local(kind="groups", share=draw(st.floats(0.1, 0.4)))
    return competition, panel


@st.composite
def horizon_cases(draw: st.DrawFn, kind: str = "rolling") -> Case:
    """Series of unequal length that start on different days, with gaps and test rows."""
    competition, panel = make_panel("horizon", draw(st.integers(0, 10**6)), series=draw(st.integers(1, 9)))
    competition.folds = Folds(
        kind=kind,
        count=draw(st.integers(1, 3)),
        rows=draw(st.one_of(st.none(), st.integers(HORIZON, 9))) if kind == "block" else None,
        gap=draw(st.integers(0, 3)),
        step=draw(st.one_of(st.none(), st.integers(1, 7))),
    )
    if draw(st.booleans()):
        cutoffs = draw(st.sampled_from(["1", "2", "3", "all"]))
        stride = draw(st.integers(1, 3))
        rows = draw(st.one_of(st.none(), st.integers(HORIZON, 9)))
        series = draw(st.sampled_from(["all", "test"]))
        competition.local = Local(kind="horizon", cutoffs=cutoffs, stride=stride, rows=rows, series=series)
    return competition, panel


def cases(kind: str) -> st.SearchStrategy[Case]:
    return horizon_cases(kind) if kind in OF_TIME else sequence_cases(kind)


def split_of(case: Case) -> Split:
    """The split; an example that the settings cannot serve, and that says so, is another example's turn."""
    try:
        return make_split(*case)
    except InputError:
        assume(False)
        raise


def train_rows(panel: Panel, fold: Fold) -> np.ndarray:
    """Panel rows that the fold may fit on."""
    ends = fold.train_end[panel.series_of_row()]
    return np.flatnonzero((np.arange(panel.rows) < ends) & panel.present)


def rows_asked(case: Case, fold: Fold) -> np.ndarray:
    return asked_of(case[1], [(fold.index, fold.asked)], horizon_of(*case)).row_id


def hidden_rows(case: Case, split: Split) -> np.ndarray:
    """Test rows, and the local hold-out: from each series' end of what is open, asked or not."""
    panel = case[1]
    if split.local is None:
        return np.flatnonzero(panel.test)
    held = np.arange(panel.rows) >= split.local.train_end[panel.series_of_row()]
    return np.flatnonzero(held | panel.test)


def test_the_registered_splitters_are_those_tested_here() -> None:
    assert set(SPLITTERS.names()) == {*GROUPED, *OF_TIME, "file"}


@pytest.mark.parametrize("kind", [*GROUPED, *OF_TIME])
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_parts_are_apart(kind: str, draw: Any) -> None:
    """Training and validation rows of a fold; all of them, the hold-out and the test rows."""
    case = draw.draw(cases(kind))
    panel = case[1]
    split = split_of(case)
    hidden = hidden_rows(case, split)
    for fold in split.folds:
        assert (fold.train_end >= panel.offsets[:-1]).all()
        assert (fold.train_end <= history_end(panel)).all()
        train, asked = train_rows(panel, fold), rows_asked(case, fold)
        assert len(asked)
        assert not np.intersect1d(train, asked).size
        assert not np.intersect1d(train, hidden).size
        assert not np.intersect1d(asked, hidden).size
    if split.local is not None:
        assert not np.intersect1d(train_rows(panel, split.local), hidden).size
        asked = rows_asked(case, split.local)
        assert len(asked)
        assert np.isin(asked, hidden).all()
        assert not panel.test[asked].any()
    assert set(rows_asked(case, split.test)) == set(np.flatnonzero(panel.test))
    assert not panel.test[train_rows(panel, split.test)].any()


@pytest.mark.parametrize("kind", [*GROUPED, *OF_TIME])
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_keys_of_out_of_fold_rows_are_unique(kind: str, draw: Any) -> None:
    case = draw.draw(cases(kind))
    split = split_of(case)
    asked = asked_of(case[1], [(fold.index, fold.asked) for fold in split.folds], horizon_of(*case))
    assert not pd.DataFrame({"row_id": asked.row_id, "origin": asked.origin}).duplicated().any()


@pytest.mark.parametrize("kind", GROUPED)
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_groups_are_whole_and_each_is_asked_once(kind: str, draw: Any) -> None:
    case = draw.draw(sequence_cases(kind))
    competition, panel = case
    split = split_of(case)
    begin = panel.offsets[:-1]
    columns = competition.folds.group
    group = np.arange(panel.series)
    if columns:
        group = pd.factorize(panel.static[columns].astype(str).agg("/".join, axis=1))[0]
    open_series = np.flatnonzero(history_end(panel) > begin)
    parts = [fold.asked.series for fold in split.folds]
    if split.local is not None:
        parts.append(split.local.asked.series)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), open_series)
    for number, part in enumerate(parts):
        others = np.concatenate([other for index, other in enumerate(parts) if index != number])
        assert not np.intersect1d(group[part], group[others]).size, "a group stands in two parts"
    assert len(split.folds) == competition.folds.count
    for fold in split.folds:
        np.testing.assert_array_equal(fold.asked.row, begin[fold.asked.series])
        asked = np.isin(np.arange(panel.series), fold.asked.series)
        assert (fold.train_end[asked] == begin[asked]).all()
        local = set() if split.local is None else set(split.local.asked.series)
        fitted = [s for s in open_series if not asked[s] and s not in local]
        assert (fold.train_end[fitted] == panel.offsets[1:][fitted]).all(), "all the rest is fitted on"


@settings(max_examples=60, deadline=None)
@given(case=horizon_cases())
def test_rolling_origins_count_back_from_what_is_open(case: Case) -> None:
    """Time is respected, the gap is left out, and every series that is long enough is asked."""
    competition, panel = case
    split = split_of(case)
    begin, folds = panel.offsets[:-1], competition.folds
    end = history_end(panel) if split.local is None else split.local.train_end
    step = folds.step or HORIZON
    for number, fold in enumerate(split.folds):
        origin = dict(zip(fold.asked.series.tolist(), fold.asked.row.tolist(), strict=True))
        for series in range(panel.series):
            expected = int(end[series]) - HORIZON - number * step
            if expected - folds.gap > begin[series]:
                assert origin.pop(series) == expected
                assert fold.train_end[series] == expected - folds.gap
            else:
                assert fold.train_end[series] <= max(expected - folds.gap, begin[series])
        assert not origin


@settings(max_examples=40, deadline=None)
@given(case=horizon_cases("block"))
def test_blocks_ask_all_that_they_hold_and_stand_one_before_the_other(case: Case) -> None:
    """A fold fits on what lies before its block; its windows fill the block as far as whole steps go."""
    competition, panel = case
    split = split_of(case)
    begin, folds = panel.offsets[:-1], competition.folds
    end = history_end(panel) if split.local is None else split.local.train_end
    rows, step = folds.rows or HORIZON, folds.step or HORIZON
    for number, fold in enumerate(split.folds):
        for series in range(panel.series):
            asked = fold.asked.row[fold.asked.series == series]
            first = int(end[series]) - (number + 1) * rows
            if first - folds.gap <= begin[series]:
                assert not len(asked)
                continue
            assert fold.train_end[series] == first - folds.gap
            assert asked[0] == first
            np.testing.assert_array_equal(np.diff(asked), step)
            assert asked[-1] + HORIZON <= first + rows < asked[-1] + HORIZON + step


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), back=st.lists(st.integers(6, 16), min_size=1, max_size=3, unique=True))
def test_dated_cut_offs_hold_for_all_series(seed: int, back: list[int]) -> None:
    """No row of any series, asked or not, is fitted on from the date on (less the gap)."""
    competition, panel = make_panel("horizon", seed)
    assert panel.timestamp is not None
    last = panel.timestamp[~panel.test].max()
    dates = [last - np.timedelta64(days, "D") for days in back]
    competition.folds = Folds(dates=[str(date)[:10] for date in dates], gap=1)
    split = split_of((competition, panel))
    for date, fold in zip(dates, split.folds, strict=True):
        assert (panel.timestamp[train_rows(panel, fold)] < date).all()
        rows = rows_asked((competition, panel), fold)
        assert (panel.timestamp[rows] >= date).all()
        assert fold.label == f"from {str(date)[:10]}"
        first = panel.timestamp[fold.asked.row]
        assert (first[first > date] == panel.timestamp[panel.offsets[fold.asked.series]][first > date]).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), count=st.integers(2, 5))
def test_stratified_folds_keep_the_mix(seed: int, count: int) -> None:
    """Of 120 series every fold gets its share of each class, but for one or two."""
    competition, panel = make_panel("sequence", seed=1, series=180)
    competition.folds = Folds(
        kind="stratified_grouped", count=count, seed=seed, stratify=["resistance", "region"]
    )
    split = make_split(competition, panel)
    key = panel.static[["resistance", "region"]].astype(str).agg("/".join, axis=1).to_numpy()
    open_series = np.concatenate([fold.asked.series for fold in split.folds])
    names, total = np.unique(key[open_series], return_counts=True)
    for fold in split.folds:
        found = np.array([(key[fold.asked.series] == name).sum() for name in names])
        assert (np.abs(found - total / count) <= 2).all()


@pytest.mark.parametrize("kind", [*GROUPED, *OF_TIME])
@settings(max_examples=20, deadline=None)
@given(draw=st.data())
def test_exported_folds_come_back(kind: str, draw: Any) -> None:
    case = draw.draw(cases(kind))
    competition, panel = case
    split = split_of(case)
    if draw.draw(st.booleans()):  # names that a table reader would take for gaps and numbers
        names = np.array(["NA", "", "007", "7", "1e3"], dtype=object)
        panel = replace(
            panel, series_name=np.concatenate([names, panel.series_name])[: panel.series].astype(object)
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "folds.csv"
        export_folds(split.folds, panel, file)
        assert [path.name for path in Path(folder).iterdir()] == ["folds.csv"]
        competition.folds = replace(competition.folds, kind="file", file=str(file))
        again = make_split(competition, panel)
    assert len(again.folds) == len(split.folds)
    for first, second in zip(split.folds, again.folds, strict=True):
        np.testing.assert_array_equal(first.train_end, second.train_end)
        np.testing.assert_array_equal(first.asked.series, second.asked.series)
        np.testing.assert_array_equal(first.asked.row, second.asked.row)
        assert (first.index, first.name) == (second.index, second.name)


def test_folds_are_the_same_every_time_and_another_seed_deals_anew() -> None:
    competition, panel = make_panel("sequence", series=30)
    for kind in GROUPED:
        competition.folds = Folds(kind=kind, stratify=["region"])
        first, again = make_split(competition, panel), make_split(competition, panel)
        competition.folds.seed = 1
        other = make_split(competition, panel)
        pairs = list(zip(first.folds, again.folds, strict=True))
        assert all(np.array_equal(one.asked.series, two.asked.series) for one, two in pairs)
        pairs = list(zip(first.folds, other.folds, strict=True))
        assert not all(np.array_equal(one.asked.series, two.asked.series) for one, two in pairs)


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown kind": ("horizon", {"kind": "roling"}, r"unknown splitter 'roling'; did you mean 'rolling'"),
    "block of groups": ("sequence", {"kind": "block"}, "'block' is for horizon tasks"),
    "short block": (
        "horizon",
        {"kind": "block", "rows": 3},
        "rows: found 3, expected at least the horizon, 5",
    ),
    "long block": ("horizon", {"kind": "block", "rows": 99}, "block 1 leaves no series with rows to fit on"),
    "rolling groups": ("sequence", {"kind": "rolling"}, "'rolling' is for horizon tasks"),
    "grouped series": ("horizon", {"kind": "grouped"}, "'grouped' is for sequence tasks"),
    "too many folds": ("sequence", {"kind": "grouped", "count": 5}, "found 5, expected 2 to 4 .the groups."),
    "one fold": ("sequence", {"kind": "grouped", "count": 1}, "found 1, expected 2 to 4"),
    "too many groups": (
        "sequence",
        {"kind": "grouped", "count": 4, "group": ["region"]},
        "found 4, expected 2 to 2",
    ),
    "unknown column": ("sequence", {"kind": "grouped", "group": ["regoin"]}, "did you mean 'region'"),
    "nothing to stratify": ("sequence", {"kind": "stratified_grouped"}, "needs one static column at least"),
    "unknown stratum": (
        "sequence",
        {"kind": "stratified_grouped", "stratify": ["price"]},
        "unknown static column 'price'",
    ),
    "strata too fine": (
        "sequence",
        {"kind": "stratified_grouped", "count": 4, "stratify": ["resistance", "region", "size"]},
        r"as many series as there are folds \(4\)",
    ),
    "no history left": ("horizon", {"count": 20}, "leaves no series with rows to fit on"),
    "gap too long": ("horizon", {"gap": 50}, "leaves no series with rows to fit on"),
    "negative gap": ("horizon", {"gap": -2}, "gap: found -2"),
    "no fold": ("horizon", {"count": 0}, "there is no fold"),
    "no date": ("horizon", {"dates": ["soon"]}, "'soon' is no date"),
    "the same date twice": (
        "horizon",
        {"dates": ["2021-01-10", "2021-01-10"]},
        r"folds 0 \(from 2021-01-10\) and 1 \(from 2021-01-10\) ask series",
    ),
    "no folds file": ("horizon", {"kind": "file", "file": "nowhere.csv"}, "nowhere.csv is not a file"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_settings_that_cannot_be_served(wrong: str) -> None:
    task, folds, message = WRONG[wrong]
    competition, panel = make_panel(task)
    competition.folds = Folds(**folds)
    with pytest.raises(InputError, match=message):
        make_split(competition, panel)


WRONG_FILES = {
    "unknown series": (lambda table: table.replace({"series": {"s1": "s11"}}), "series 's11' is not in"),
    "no column": (lambda table: table.drop(columns="train_rows"), "column 'train_rows' is missing"),
    "text": (lambda table: table.assign(asked_from="a"), "line 2: column 'asked_from': found 'a'"),
    "no number": (lambda table: table.assign(train_rows=""), "line 2: column 'train_rows': found ''"),
    "half a row": (lambda table: table.assign(train_rows=2.5), "line 2: column 'train_rows': found '2.5'"),
    "negative": (lambda table: table.assign(fold=-1), "line 2: column 'fold': found '-1'"),
    "series twice": (lambda table: pd.concat([table, table.iloc[:1]]), "fold 0 lists a series twice from"),
    "two ends": (
        lambda table: pd.concat([table, table.iloc[:1].assign(asked_from=1, train_rows=1)]),
        "fold 0 gives a series two numbers of train_rows",
    ),
    "test rows": (lambda table: table.assign(train_rows=99), "train_rows 99 where 0 to"),
    "fitted and asked": (lambda table: table.assign(asked_from=table["train_rows"] - 1), "asked_from"),
    "asks test rows": (lambda table: table.assign(asked_from=table["asked_from"] + 1), "asked_from"),
    "no history": (lambda table: table.assign(asked_from=0, train_rows=0), "asked_from 0; expected 1 to"),
    "asks nothing": (lambda table: table.assign(asked_from=""), r"\(fold 0 of folds.csv\) asks no series"),
    "no line": (lambda table: table.iloc[:0], "there is no fold"),
    "same twice": (
        lambda table: pd.concat([table.assign(fold=0), table.assign(fold=3)]),
        r"folds 0 \(fold 0 of folds.csv\) and 1 \(fold 3 of folds.csv\) ask series",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_FILES)
def test_folds_files_that_cannot_be_used(wrong: str, tmp_path: Path) -> None:
    change, message = WRONG_FILES[wrong]
    competition, panel = make_panel("horizon")
    competition.folds = Folds(count=1)
    file = tmp_path / "folds.csv"
    export_folds(make_split(competition, panel).folds, panel, file)
    change(pd.read_csv(file)).to_csv(file, index=False)
    competition.folds = Folds(kind="file", file=str(file))
    with pytest.raises(InputError, match=message) as caught:
        make_split(competition, panel)
    assert "folds.csv" in str(caught.value) or wrong == "no line"


@pytest.mark.parametrize("content", ["", '"fold,series\n'])
def test_a_folds_file_that_is_no_table(content: str, tmp_path: Path) -> None:
    competition, panel = make_panel("horizon")
    competition.folds = Folds(kind="file", file=str(tmp_path / "folds.csv"))
    (tmp_path / "folds.csv").write_text(content)
    with pytest.raises(InputError, match=r"folds\.csv"):
        make_split(competition, panel)


def test_a_group_of_a_sequence_task_is_asked_whole(tmp_path: Path) -> None:
    competition, panel = make_panel("sequence")
    competition.folds = Folds(kind="grouped", count=2)
    file = tmp_path / "folds.csv"
    export_folds(make_split(competition, panel).folds, panel, file)
    table = pd.read_csv(file)
    table.loc[table["asked_from"].notna(), "asked_from"] = 3
    table.to_csv(file, index=False)
    competition.folds = Folds(kind="file", file=str(file))
    with pytest.raises(InputError, match="asked_from 3; expected 0 to 0"):
        make_split(competition, panel)


@pytest.mark.parametrize("missing", [1, 3])
def test_rows_missing_before_the_asked_ones(missing: int) -> None:
    """All test rows are asked, from a later origin if need be; a horizon too short for them is refused."""
    competition, panel = make_panel("horizon", gaps=False)
    present = panel.present.copy()
    first = np.flatnonzero(panel.test)[0]
    present[first - missing : first] = False
    panel = replace(panel, present=present)
    test = make_split(competition, panel).test
    assert test.train_end[0] == first - missing
    assert test.asked.row[0] == first
    np.testing.assert_array_equal(rows_asked((competition, panel), test), np.flatnonzero(panel.test))
    competition.horizon = None
    assert horizon_of(competition, panel) == HORIZON + missing
    assert make_split(competition, panel).test.asked.row[0] == first - missing
    competition.horizon = HORIZON - 1
    with pytest.raises(
        InputError, match="horizon: found 4, expected at least 5, the rows that series 's0' is"
    ):
        make_split(competition, panel)


def test_asked_rows_in_the_middle_of_history_are_refused() -> None:
    competition, panel = make_panel("horizon", gaps=False)
    test = panel.test.copy()
    test[3] = True
    with pytest.raises(InputError, match="series 's0' has asked rows before its last training row"):
        make_split(competition, replace(panel, test=test))


@pytest.mark.parametrize("regular", [True, False])
@pytest.mark.parametrize("series", ["all", "test"])
def test_a_hold_out_on_a_shared_calendar_ends_all_series_on_one_day(series: str, regular: bool) -> None:
    """Dates without a frequency are no different, though `time` then counts the rows of each series."""
    competition, panel = make_panel("horizon", gaps=False)
    test = panel.test.copy()
    test[: panel.offsets[2]] = False  # two series are not in the test file
    time = panel.time if regular else np.arange(panel.rows) - panel.offsets[panel.series_of_row()]
    panel = replace(panel, test=test, time=time)
    competition.local = Local(kind="horizon", series=series)
    competition.folds.count = 1
    local = make_split(competition, panel).local
    assert local is not None
    assert panel.timestamp is not None
    held = [HORIZON if series == "all" or s >= 2 else 0 for s in range(panel.series)]
    end = history_end(panel)
    chosen = [s for s in range(panel.series) if held[s]]
    day = max(panel.timestamp[end[s] - HORIZON] for s in chosen)
    for s in range(panel.series):
        rows = np.arange(panel.offsets[s], end[s])
        open_rows = rows[panel.timestamp[rows] < day]
        expected = min(len(open_rows), len(rows) - held[s])
        assert local.train_end[s] == panel.offsets[s] + expected
    np.testing.assert_array_equal(local.asked.series, chosen)


def test_a_series_shorter_than_the_hold_out_does_not_say_on_which_day_it_begins() -> None:
    """A new shop in the test file is held out whole: those that are not asked end before the others' rows."""
    competition, panel = make_panel("horizon", gaps=False)
    begin, end = panel.offsets[:-1], history_end(panel)
    new = int((end - begin).argmin())
    rows = int((end - begin)[new])  # held out of each series: all that the new one has
    assert (np.delete(end - begin, new) > rows).all()
    owner = panel.series_of_row()
    assert panel.timestamp is not None
    late = np.where(owner == new, np.timedelta64(400, "D"), np.timedelta64(0, "D"))
    unasked = (new + 1) % panel.series
    panel = replace(panel, timestamp=panel.timestamp + late, test=panel.test & (owner != unasked))
    end = history_end(panel)
    competition.local = Local(kind="horizon", series="test", cutoffs="all", rows=rows, stride=1)
    competition.folds.count = 1
    local = make_split(competition, panel).local
    assert local is not None
    assert panel.timestamp is not None
    asked = [s for s in range(panel.series) if s not in (new, unasked)]
    assert sorted(set(local.asked.series.tolist())) == asked
    day = max(panel.timestamp[end[s] - rows] for s in asked)
    learnt = np.arange(begin[unasked], local.train_end[unasked])
    assert (panel.timestamp[learnt] < day).all()
    assert local.train_end[unasked] < end[unasked]


def test_several_cut_offs_of_the_hold_out() -> None:
    competition, panel = make_panel("horizon", gaps=False, equal=True)
    begin, end = panel.offsets[:-1], history_end(panel)
    for cutoffs, rows, expected in [("3", None, 3), ("all", 9, 3), ("all", None, 1), ("all", 10, 3)]:
        competition.local = Local(kind="horizon", cutoffs=cutoffs, stride=2, rows=rows)
        competition.folds.count = 1
        panel = replace(panel, timestamp=None)
        local = make_split(competition, panel).local
        assert local is not None
        assert len(local.asked.row) == expected * panel.series
        for s in range(panel.series):
            row = local.asked.row[local.asked.series == s]
            np.testing.assert_array_equal(np.diff(row), 2)
            assert row[0] == local.train_end[s] > begin[s]
            assert end[s] - 2 < row[-1] + HORIZON <= end[s], (
                "no further cut-off would fit, and none goes beyond"
            )


WRONG_LOCAL: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown kind": ("horizon", {"kind": "horizen"}, "did you mean 'horizon'"),
    "groups of series": ("horizon", {"kind": "groups"}, "'groups' is for sequence tasks"),
    "horizon of groups": ("sequence", {"kind": "horizon"}, "'horizon' is for horizon tasks"),
    "unknown series": ("horizon", {"kind": "horizon", "series": "some"}, "unknown choice 'some'"),
    "no number": ("horizon", {"kind": "horizon", "cutoffs": "two"}, "cutoffs: found 'two'"),
    "too few rows": (
        "horizon",
        {"kind": "horizon", "cutoffs": "all", "rows": 3},
        "rows: found 3, expected at",
    ),
    "too many rows": ("horizon", {"kind": "horizon", "cutoffs": "all", "rows": 99}, "more than the 99 rows"),
    "all groups": ("sequence", {"kind": "groups", "share": 0.99}, "leaves groups on both sides"),
}


@pytest.mark.parametrize("wrong", WRONG_LOCAL)
def test_a_hold_out_that_cannot_be_served(wrong: str) -> None:
    task, local, message = WRONG_LOCAL[wrong]
    competition, panel = make_panel(task)
    competition.local = Local(**local)
    competition.folds = Folds(kind="grouped" if task == "sequence" else "rolling", count=2)
    with pytest.raises(InputError, match=message):
        make_split(competition, panel)
