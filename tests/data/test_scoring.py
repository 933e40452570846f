"""Scoring: predictions meet the truth by key, whatever their order; what is not judged counts nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.competition import Competition, Metric
from data.errors import InputError
from data.folds import Origins
from data.panel import Panel
from data.predictions import IncompletePredictions, prediction_table
from data.scoring import Asked, Scorer, align, asked_of
from data.split import make_split
from tests.panels import HORIZON, make_panel


def toy(seed: int = 0, task: str = "horizon") -> tuple[Competition, Panel, Asked]:
    """Two overlapping cut-offs in horizon tasks, two folds in sequence tasks."""
    competition, panel = make_panel(task, seed=seed)
    competition.folds.kind = "rolling" if task == "horizon" else "grouped"
    competition.folds.count, competition.folds.step = 2, 3
    competition.metric = [Metric("mae"), Metric("rmse")]
    split = make_split(competition, panel)
    horizon = HORIZON if task == "horizon" else int(np.diff(panel.offsets).max())
    return competition, panel, asked_of(panel, [(fold.index, fold.asked) for fold in split.folds], horizon)


@pytest.mark.parametrize("task", ["sequence", "horizon"])
@pytest.mark.parametrize("seed", range(3))
def test_asked_rows_are_those_of_the_folds_with_their_truth(task: str, seed: int) -> None:
    competition, panel, asked = toy(seed, task)
    expected = []
    for fold in make_split(competition, panel).folds:
        for series, origin in zip(*fold.asked, strict=True):
            last = panel.offsets[series + 1]
            if task == "horizon":
                last = min(last, origin + HORIZON)
            expected += [
                (row, origin, series, fold.index) for row in range(origin, last) if panel.present[row]
            ]
    expected.sort()
    found = list(zip(asked.row_id, asked.origin, asked.series, asked.fold, strict=True))
    assert found == expected
    np.testing.assert_array_equal(asked.step, asked.row_id - asked.origin + 1)
    np.testing.assert_array_equal(asked.truth, panel.target[asked.row_id])
    known = np.isfinite(panel.target[asked.row_id]).all(1)
    assert not known.all()
    np.testing.assert_array_equal(asked.weight, np.where(known, panel.weight[asked.row_id], 0.0))


def test_the_solution_is_the_truth_of_test_rows_by_row_id() -> None:
    competition, panel, _ = toy()
    origins = make_split(competition, panel).test.asked
    rows = np.flatnonzero(panel.test)
    truth = np.random.default_rng(0).gamma(2.0, 50.0, (len(rows), 2))
    weight = (np.arange(len(rows)) % 3 > 0).astype(np.float32)
    solution = pd.DataFrame(truth, columns=list(panel.target_name)).assign(row_id=rows, weight=weight)
    asked = asked_of(panel, [(-2, origins)], HORIZON, solution.sample(frac=1.0, random_state=1))
    np.testing.assert_array_equal(asked.row_id, rows)
    np.testing.assert_array_equal(asked.truth, truth)
    np.testing.assert_array_equal(asked.weight, weight)
    missing = asked_of(panel, [(-2, origins)], HORIZON, solution.iloc[1:])
    assert missing.weight[0] == 0
    assert np.isnan(missing.truth[0]).all()
    assert not asked_of(panel, [(-2, origins)], HORIZON).weight.any(), "without it nothing can be judged"


def table_of(asked: Asked, value: np.ndarray) -> pd.DataFrame:
    return prediction_table(asked.row_id, asked.origin, value)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_shuffled_predictions_are_aligned_and_score_the_same(seed: int) -> None:
    competition, panel, asked = toy(seed % 5)
    generator = np.random.default_rng(seed)
    value = generator.normal(100.0, 20.0, asked.truth.shape)
    table = table_of(asked, value)
    np.testing.assert_array_equal(align(table, asked, "lstm"), value)
    shuffled = table.sample(frac=1.0, random_state=seed)
    np.testing.assert_array_equal(align(shuffled, asked, "lstm"), value)
    scorer = Scorer(competition, panel)
    scores = scorer.scores(asked, align(shuffled, asked, "lstm"))
    assert list(scores) == ["mae", "rmse"]
    counts = asked.weight > 0
    error = asked.truth[counts] - value[counts]
    assert scores["mae"] == pytest.approx(np.abs(error).mean())
    assert scores["rmse"] == pytest.approx(np.mean(np.sqrt((error**2).mean(0))))
    assert scorer.score(asked, value) == scores["mae"]


def test_aligned_values_are_a_copy() -> None:
    _, _, asked = toy()
    table = table_of(asked, np.zeros(asked.truth.shape))
    align(table, asked, "lstm")[:] = 5.0
    assert not table["value"].any()


def test_quantiles_are_picked_by_level() -> None:
    _, _, asked = toy()
    value = np.random.default_rng(0).normal(size=(*asked.truth.shape, 3))
    table = prediction_table(asked.row_id, asked.origin, value, (0.1, 0.9)).sample(frac=1.0, random_state=0)
    for number, level in enumerate((0.0, 0.1, 0.9)):
        np.testing.assert_array_equal(align(table, asked, "lstm", level), value[:, :, number])
    with pytest.raises(IncompletePredictions, match="is missing"):
        align(table, asked, "lstm", 0.5)


def test_metrics_of_quantiles_stand_beside_those_of_points() -> None:
    competition, panel, asked = toy()
    competition.metric = [Metric("mae"), Metric("pinball"), Metric("wql", {"quantiles": [0.9]})]
    scorer = Scorer(competition, panel)
    generator = np.random.default_rng(0)
    point = generator.normal(100.0, 20.0, asked.truth.shape)
    value = point[..., None] + np.array([-30.0, 30.0])
    assert scorer.name == "mae"
    assert list(scorer.scores(asked, point)) == ["mae"]
    scores = scorer.quantile_scores(asked, point, (0.1, 0.9), value)
    counts = asked.weight > 0
    error = asked.truth[counts, :, None] - value[counts]
    level = np.array([0.1, 0.9])
    loss = np.maximum(level * error, (level - 1) * error).mean(0)  # (K, Q)
    assert scores["pinball"] == pytest.approx(loss.mean())
    size = np.abs(asked.truth[counts]).mean(0)
    assert scores["wql"] == pytest.approx(np.mean(2 * loss[:, 1] / size))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "lstm: row {row} is missing"),
        ("doubled", "lstm: row {row} is predicted twice"),
        ("NaN", "lstm: the prediction of row {row} is not finite"),
        ("target", r"lstm: row \d+ is missing \(target 1"),
        ("swapped", "lstm: row {row} is predicted twice"),
    ],
)
def test_faults_are_named(fault: str, message: str) -> None:
    _, _, asked = toy()
    table = table_of(asked, np.zeros(asked.truth.shape))
    row = int(table["row_id"].iloc[40])
    if fault == "missing":
        table = table.drop(index=table.index[40])
    elif fault == "doubled":
        table = pd.concat([table, table.iloc[[40]]])
    elif fault == "NaN":
        table.loc[40, "value"] = np.nan
    elif fault == "target":
        table = table.loc[table["target"] == 0]
    else:  # as many lines as expected, one of them instead of another
        table.loc[44] = table.loc[40]
        table = table.astype({"row_id": int, "origin": int, "target": int, "quantile": np.float32})
    with pytest.raises(IncompletePredictions, match=message.format(row=row)):
        align(table, asked, "lstm")


def test_rows_of_no_weight_and_unknown_truth_change_no_score() -> None:
    competition, panel, asked = toy()
    scorer = Scorer(competition, panel)
    value = np.random.default_rng(1).normal(100.0, 20.0, asked.truth.shape)
    wild = np.where(asked.weight[:, None] > 0, value, 1e9)
    assert (asked.weight == 0).any()
    assert scorer.scores(asked, wild) == scorer.scores(asked, value)


def test_what_cannot_be_judged_scores_nan() -> None:
    competition, panel, asked = toy()
    nothing = asked.take(asked.weight == 0)
    assert len(nothing) > 0
    assert np.isnan(Scorer(competition, panel).score(nothing, np.zeros(nothing.truth.shape)))


@pytest.mark.parametrize(("metric", "higher"), [("mae", False), ("r2", True)])
def test_better_is_what_the_metric_says(metric: str, higher: bool) -> None:
    competition, panel, asked = toy()
    competition.metric = [Metric(metric)]
    scorer = Scorer(competition, panel)
    assert scorer.name == metric
    close, far = (scorer.score(asked, np.nan_to_num(asked.truth) + noise) for noise in (1.0, 50.0))
    assert (close > far) is higher
    assert scorer.better(close, far)
    assert not scorer.better(far, close)


def test_two_metrics_of_one_name_stand_apart() -> None:
    """The one that decides keeps its own figure under its name."""
    competition, panel, asked = toy(seed=1)
    value = np.nan_to_num(asked.truth) + 3.0
    alone = {}
    for season in (7, 1):
        competition.metric = [Metric("mase", {"seasonality": season})]
        alone[season] = Scorer(competition, panel).score(asked, value)
    competition.metric = [Metric("mase", {"seasonality": season}) for season in (7, 1)]
    scorer = Scorer(competition, panel)
    assert scorer.scores(asked, value) == {"mase": alone[7], "mase(seasonality=1)": alone[1]}
    assert scorer.score(asked, value) == alone[7] != alone[1]
    competition.metric = [Metric("mae"), Metric("mae")]
    with pytest.raises(InputError, match=r"competition\.metric: mae stands twice"):
        Scorer(competition, panel)


def test_scaled_metrics_read_the_history_before_each_origin_only() -> None:
    competition, panel, asked = toy(seed=1)
    competition.metric = [Metric("mase")]
    value = np.full(asked.truth.shape, 100.0)
    before = Scorer(competition, panel).score(asked, value)
    assert np.isfinite(before)
    target = panel.target.copy()
    first = pd.Series(asked.origin).groupby(asked.series).min()
    for series, origin in first.items():
        target[origin : panel.offsets[int(series) + 1]] *= 7.0  # type: ignore[call-overload]
    changed = Panel(
        **{**{name: getattr(panel, name) for name in panel.__dataclass_fields__}, "target": target}
    )
    earliest = asked.take(asked.fold == 1)  # the origins that `first` are
    assert Scorer(competition, changed).score(earliest, value[asked.fold == 1]) == pytest.approx(
        Scorer(competition, panel).score(earliest, value[asked.fold == 1])
    )


def test_taking_rows_keeps_them_together() -> None:
    _, panel, asked = toy()
    part = asked.take(asked.fold == 1)
    assert len(part) == (asked.fold == 1).sum() > 0
    np.testing.assert_array_equal(part.truth, panel.target[part.row_id])
    alone = asked_of(panel, [(1, Origins(*np.unique([part.series, part.origin], axis=1)))], HORIZON)
    for name in asked.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(alone, name), getattr(part, name))
