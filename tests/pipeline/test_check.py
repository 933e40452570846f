"""The checks before training: each finds what is planted, and nothing where nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data.competition import Competition
from data.panel import Panel
from data.split import horizon_of, make_split
from pipeline.checking.adversarial import auc_with_error
from pipeline.checking.boosting import binned, codes, explained
from pipeline.checking.distance import Values, distance, worth
from pipeline.checking.run import run_checks
from tests.panels import make_panel
from tests.pipeline.made_up_data import AHEAD, DAYS, STEPS, breaths, shops, with_column

Case = tuple[Competition, Panel]
MADE: dict[str, Callable[[int], Case]] = {"breaths": breaths, "shops": shops}


def checked(case: Case, seed: int = 0) -> dict[str, Any]:
    """What all checks find, without feature families."""
    competition, panel = case
    split, horizon = make_split(competition, panel), horizon_of(competition, panel)
    found = run_checks(
        competition, panel, split, [], competition.context or 0, horizon, 20_000, seed, lambda *_: None
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def kinds(found: dict[str, Any]) -> set[str]:
    return {finding["check"] for finding in found["findings"]}


def line(found: dict[str, Any], check: str) -> str:
    [one] = [finding for finding in found["findings"] if finding["check"] == check]
    assert one["line"] == f"{one['what']} ({one['figure']}): {one['why']}; {one['to_do']}"
    return str(one["line"])


@pytest.mark.parametrize("name", MADE)
def test_nothing_is_said_of_a_clean_competition(name: str) -> None:
    """Twelve of each, and another draw of rows for each: not one false alarm."""
    for seed in range(12):
        assert checked(MADE[name](seed), seed)["findings"] == []


@pytest.mark.parametrize("name", MADE)
def test_a_column_that_is_shifted_in_the_test_file(name: str) -> None:
    competition, panel = MADE[name](1)
    column = {"breaths": "valve", "shops": "price"}[name]
    moved = panel.frame[column] + np.where(panel.test, 2.0 * panel.frame[column].std(), 0.0)
    case = competition, replace(panel, frame=panel.frame.assign(**{column: moved}))
    found = checked(case)
    assert kinds(found) == {"adversarial", "drift"}
    assert found["adversarial"]["auc"] > 0.8
    assert next(iter(found["adversarial"]["carried_by"])) == column
    assert (
        f"can be told from {'training rows' if name == 'breaths' else 'the last cut-off'} by {column}"
        in line(found, "adversarial")
    )
    assert found["drift"]["columns"][column]["drifts"]
    assert line(found, "drift").startswith("distributed otherwise in the test rows than in")


def test_columns_of_time_are_named_apart_and_a_trend_of_all_cut_offs_is_no_alarm() -> None:
    competition, panel = shops(2)
    day = panel.time + 0.0
    case = with_column((competition, panel), "day", day)
    # Each shop by itself: what grows as fast before the last cut-off as after it is how this series goes.
    shop = panel.series_of_row()
    case = with_column(case, "age", day + 3 * (shop % 10))
    found = checked(case)
    assert found["findings"] == []
    assert found["adversarial"]["time_columns"] == [
        "step",
        "day",
        "visitors@origin",
        "past.sales@origin",
    ]
    assert found["drift"]["columns"]["day"]["time_column"]
    assert min(one["auc"] for one in found["adversarial"]["usual"]) > 0.6


@pytest.mark.parametrize(("name", "noise"), [("breaths", 0.0), ("shops", 0.0), ("shops", 0.05)])
def test_a_column_made_from_the_target(name: str, noise: float) -> None:
    """By itself, and with so much noise that only the comparison with all other columns tells."""
    competition, panel = MADE[name](3)
    generator = np.random.default_rng(0)
    leaked = np.log(panel.target[:, 0] + 50) + generator.normal(0.0, 1.0, panel.rows) * noise
    leaked[panel.test] = generator.choice(leaked[~panel.test], int(panel.test.sum()))
    found = checked(with_column((competition, panel), "sold", leaked))
    assert line(found, "leak").startswith(f"the column sold alone gives {panel.target_name[0]} away")
    assert next(iter(found["leak"]["columns"][panel.target_name[0]])) == "sold"
    [one] = [finding for finding in found["findings"] if finding["check"] == "leak"]
    assert one["level"] == ("note" if noise else "warning")
    assert ("all other columns together" in one["figure"]) == (noise > 0)


def test_groups_that_stand_in_the_order_of_what_their_inputs_do_not_tell() -> None:
    competition, panel = breaths(4)
    owner = panel.series_of_row()
    generator = np.random.default_rng(0)
    hidden = np.random.default_rng(1).normal(0.0, 3.0, panel.series)
    target = panel.target + hidden[owner][:, None]
    train = np.flatnonzero(~panel.test[panel.offsets[:-1]])
    for order, expected in ((generator.permutation(len(train)), False), (np.argsort(hidden[train]), True)):
        place = np.zeros(panel.series, dtype=np.int64)
        place[train[order]] = np.arange(len(train))
        row = place[owner] * STEPS + np.arange(panel.rows) % STEPS
        file_row = np.where(panel.test, panel.file_row, row)
        found = checked((competition, replace(panel, target=target, file_row=file_row)))
        assert ("order" in kinds(found)) == expected
        if expected:
            assert line(found, "order").startswith(
                "the order of groups in the file tells the target (it explains"
            )


def test_rows_of_a_day_that_stand_in_the_order_of_their_sales() -> None:
    competition, panel = shops(5)
    order = np.lexsort((panel.target[:, 0], panel.time, panel.test))
    file_row = np.empty(panel.rows, dtype=np.int64)
    file_row[order] = np.arange(panel.rows)
    found = checked((competition, replace(panel, file_row=file_row)))
    assert kinds(found) == {"order"}
    # Sorted by series, as most files are: said to be so, and nothing else is looked for.
    order = np.lexsort((panel.time, panel.series_of_row(), panel.test))
    file_row[order] = np.arange(panel.rows)
    found = checked((competition, replace(panel, file_row=file_row)))
    assert found["findings"] == []
    assert found["order"]["sorted"] == 1.0
    assert (
        "before the place of rows"
        in checked((competition, replace(panel, file_row=None)))["order"]["skipped"]
    )


def test_test_groups_that_stand_in_the_training_file() -> None:
    competition, panel = breaths(6)
    test, train = (np.flatnonzero(panel.test[panel.offsets[:-1]] == flag) for flag in (True, False))
    frame, static = panel.frame.copy(), panel.static.copy()
    for to, source in [(test[3], train[5]), (test[9], train[5]), (train[1], train[0]), (train[3], train[2])]:
        frame.iloc[to * STEPS : (to + 1) * STEPS] = frame.iloc[
            source * STEPS : (source + 1) * STEPS
        ].to_numpy()
        static.iloc[to] = static.iloc[source]
    found = checked((competition, replace(panel, frame=frame, static=static)))
    assert kinds(found) == {"duplicates"}
    assert found["duplicates"]["test_groups_in_train"] == 2
    names = f"{panel.series_name[test[3]]}, {panel.series_name[test[9]]}"
    assert any(
        f"same inputs: {names} (2 of {len(test)} test groups)" in one["line"] for one in found["findings"]
    )
    fold = np.full(panel.series, -1)
    for part in make_split(competition, panel).folds:
        fold[part.asked.series] = part.index
    pairs = [(train[1], train[0]), (train[3], train[2])]
    apart = [
        pair for pair in pairs if fold[pair[0]] != fold[pair[1]] and min(fold[pair[0]], fold[pair[1]]) >= 0
    ]
    assert found["duplicates"]["groups_in_two_folds"] == 2 * len(apart)


def test_series_with_equal_histories_and_futures_that_stand_elsewhere() -> None:
    competition, panel = shops(7)
    target = panel.target.copy()
    length = DAYS + AHEAD
    target[length : length + DAYS] = target[:DAYS]  # shop1 is shop0
    end = target[5 * length + DAYS - 40 : 5 * length + DAYS]
    target[8 * length + 60 : 8 * length + 100] = end  # what ends shop5 stands in the midst of shop8
    found = checked((competition, replace(panel, target=target)))
    assert kinds(found) == {"duplicates"}
    assert found["duplicates"]["equal_histories"] == 2
    assert found["duplicates"]["futures_elsewhere"] == [{"series": "shop5", "in": "shop8", "rows": 60}]
    zeros = np.where(np.isnan(panel.target), np.nan, 0.0)
    assert checked((competition, replace(panel, target=zeros)))["findings"] == []


def test_a_target_that_moves_before_the_end() -> None:
    competition, panel = shops(8)
    last = (panel.time >= DAYS - AHEAD)[:, None]
    found = checked((competition, replace(panel, target=np.where(last, 3 * panel.target, panel.target))))
    assert "target" in kinds(found)
    assert found["target"]["sales"]["between"] == ["cut-off 1", "cut-off 2"]
    assert found["target"]["sales"]["moved"] > 1


@pytest.mark.parametrize("task", ["sequence", "horizon"])
@pytest.mark.parametrize("series", [1, 3, 60])
def test_panels_with_everything_odd_in_them(task: str, series: int) -> None:
    """Two targets, gaps, missing values, unequal lengths, all kinds of columns; and what truly drifts there:
    a clock that runs on from group to group, a valve that opens halfway through each series.
    """
    for seed in range(3):
        competition, panel = make_panel(task, seed, series=max(series, 3 if task == "sequence" else 1))
        competition.folds.kind = "grouped" if task == "sequence" else "rolling"
        competition.folds.count = 2 if task == "sequence" else 1
        found = checked((competition, replace(panel, file_row=np.arange(panel.rows))), seed)
        drifting = {"sequence": "seconds", "horizon": "valve"}[task]
        assert kinds(found) <= {"adversarial", "drift"}
        assert all(drifting in finding["what"] for finding in found["findings"])
        assert bool(found["findings"]) or series < 60 or task == "horizon"
        assert not found["findings"] or series == 60, "so few series say nothing"
        assert set(found["leak"]["columns"]) in (set(), {"sales", "returns"})


def test_few_series_and_few_rows_say_so() -> None:
    competition, panel = breaths(0, count=12)
    found = checked((competition, panel))
    assert "fewer than" in found["adversarial"]["skipped"]
    assert "fewer than" in found["order"]["skipped"]
    assert found["findings"] == []
    found = checked(shops(0, count=1))
    assert "fewer than" in found["adversarial"]["skipped"]
    assert found["findings"] == []


def test_the_pieces_against_plain_references() -> None:
    generator = np.random.default_rng(0)
    label = (generator.random(500) < 0.4).astype(float)
    score = (generator.normal(size=500) + label).round(1)  # with ties
    area, error = auc_with_error(label, score, np.arange(500), 0)
    assert area == pytest.approx(roc_auc_score(label, score))
    # Hanley and McNeil 1982, equation 1
    ones, zeros = label.sum(), (1 - label).sum()
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (ones - 1) * (q1 - area**2) + (zeros - 1) * (q2 - area**2)
    assert error == pytest.approx(np.sqrt(variance / ones / zeros), rel=0.25)

    column = np.array([3.0, np.nan, 1.0, 1.0, 2.0])
    assert codes(column, 5).tolist() == [3, 0, 1, 1, 2]
    x = generator.normal(size=2000)
    noisy = np.sin(3 * x) + generator.normal(0.0, 0.5, 2000)
    best = 1 - 0.25 / noisy.var()
    assert best - 0.08 < explained(noisy, binned(x, noisy, np.arange(2000), 0)) < best + 0.02
    assert explained(noisy, binned(generator.normal(size=2000), noisy, np.arange(2000), 0)) < 0.01

    # Rows of a series that are all alike are worth one row; independent ones are worth themselves.
    series = np.repeat(np.arange(50), 10)
    assert worth(np.repeat(generator.normal(size=50), 10), series) == pytest.approx(50)
    assert worth(generator.normal(size=500), series) > 300
    same = distance(Values(x[:500], series), Values(x[500:1000], series))
    other = distance(Values(x[:500], series), Values(x[500:1000] + 1, series))
    assert same is not None
    assert other is not None
    assert same["psi"] < same["chance"] < other["psi"]
    assert other["ks"] == pytest.approx(0.38, abs=0.07)  # 2 Phi(1 / 2) - 1
