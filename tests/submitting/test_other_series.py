"""New rows of other series than those fitted on: one has gone, one stands in the middle, the rest move up."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.competition import Post
from data.folds import Origins, Split
from data.inputs import build_inputs, training_rows
from data.panel import Panel
from data.scoring import Asked, asked_of
from data.split import save_split
from data.windows import WindowDataset
from models.members.base import FitTask
from models.members.catalogue import make_member
from pipeline.blending.run import blend_rows
from pipeline.competition_file import save_competition
from pipeline.stages.prepare import Prepared
from pipeline.submitting.new_rows import new_split, recoded
from submissions.post import apply_posts, fit_posts
from submissions.posts import conformal
from submissions.posts.base import Forecast
from tests.members import CONTEXT, FIT, Toy, fit_task, make_toy, small_settings
from tests.panels import reordered

#: The new panel's series by their places among the fitted ones; the fifth is a newcomer with s4's history.
ORDER = np.array([1, 2, 3, 4, 4, 5, 6, 7, 8])
NEWCOMER, TWIN = 4, 3
FITTED = np.array([1, 2, 3, 4, -1, 5, 6, 7, 8])
LEVELS = (0.1, 0.5, 0.9)
SMALL_RNN: dict[str, Any] = dict(small_settings("es_rnn"))


@dataclass(frozen=True)
class New:
    """A fitted toy, and its panel without s0 and with the newcomer s4b as stage=predict knows it."""

    toy: Toy
    panel: Panel
    split: Split
    row: np.ndarray  # (R,) the fitted panel's row of each new one; the newcomer's are its twin's

    def old(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predictions of new rows under the row ids of the fitted panel, without the newcomer's."""
        own = table.loc[self.panel.series_of_row()[table["row_id"]] != NEWCOMER]
        own = own.assign(row_id=self.row[own["row_id"]], origin=self.row[own["origin"]])
        return own.sort_values(["row_id", "target"], ignore_index=True)


@pytest.fixture
def new(tmp_path: Path) -> New:
    toy = make_toy("horizon", equal=True, missing=False, gaps=False)
    folder = tmp_path / "prepare"
    toy.panel.save(folder / "panel")
    save_split(toy.split, folder)
    save_competition(toy.competition, folder)
    (folder / "meta.json").write_text(json.dumps({"horizon": toy.horizon}))
    moved, row = reordered(toy.panel, ORDER)
    moved.series_name[NEWCOMER] = "s4b"
    fitted = Prepared(folder)
    panel = recoded(moved, fitted.panel)
    panel.save(tmp_path / "rows")
    panel = Panel.load(tmp_path / "rows")  # as it is read again by the jobs that predict
    return New(toy, panel, new_split(panel, fitted), row)


def new_task(new: New, fitted: FitTask) -> FitTask:
    """What predicts the new rows by the fit."""
    toy, fold = new.toy, new.split.test
    inputs = build_inputs(
        toy.competition, new.panel, [], fold, CONTEXT, toy.horizon, constants=fitted.inputs.constants
    )
    return replace(fitted, panel=new.panel, inputs=inputs, fold=fold)


def test_series_keep_the_numbers_that_they_were_fitted_under(new: New) -> None:
    np.testing.assert_array_equal(new.panel.series_when_fitted(), FITTED)
    assert new.toy.panel.fitted_series is None
    np.testing.assert_array_equal(new.toy.panel.series_when_fitted(), np.arange(9))
    train = training_rows(new.panel, new.split.test)
    assert not train[new.panel.series_of_row() == NEWCOMER].any()


def test_networks_are_shown_those_numbers(new: New, tmp_path: Path) -> None:
    task = new_task(new, fit_task(new.toy, tmp_path / "fit", fold=new.toy.split.test))
    asked = new.split.test.asked
    batch = WindowDataset(task.inputs)[np.stack([asked.series, asked.row], axis=1)]
    np.testing.assert_array_equal(batch.series.numpy(), FITTED[asked.series])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("group_median", {"by": ["series"]}),
        ("group_median", {"by": ["promotion", "series"]}),
        ("nlinear", {"individual": "series", "static_width": 4}),
        ("dlinear", {"individual": "series", "static_width": 4, "kernel": 5}),
        ("es_rnn", SMALL_RNN),
    ],
)
def test_members_forecast_the_others_as_before(
    kind: str, settings: dict[str, Any], new: New, tmp_path: Path
) -> None:
    fold = new.toy.split.test
    fit = replace(FIT, learning_rate=0.05)
    task = fit_task(new.toy, tmp_path / "fit", fold=fold, fit=fit)
    member = make_member(kind, settings)
    member.fit(task)
    kept = np.isin(fold.asked.series, ORDER)
    asked = Origins(fold.asked.series[kept], fold.asked.row[kept])
    before = member.predict(task, asked, "test").sort_values(["row_id", "target"], ignore_index=True)
    after = member.predict(new_task(new, task), new.split.test.asked, "test")
    found = new.old(after)
    pd.testing.assert_frame_equal(found, before, check_exact=False, rtol=1e-5)
    assert np.isfinite(after["value"]).all()
    # The newcomer has the history of its twin, and nothing of what was learnt of it.
    owner = new.panel.series_of_row()[after["row_id"]]
    assert not np.allclose(after["value"][owner == NEWCOMER], after["value"][owner == TWIN], rtol=1e-5)


def test_the_median_of_a_newcomer_is_that_of_everyone(new: New, tmp_path: Path) -> None:
    task = fit_task(new.toy, tmp_path / "fit", fold=new.toy.split.test)
    member = make_member("group_median", {"by": ["series"]})
    member.fit(task)
    asked = new.split.test.asked
    one = asked.series == NEWCOMER
    found = member.predict(new_task(new, task), Origins(asked.series[one], asked.row[one]), "test")
    panel = new.toy.panel
    judged = training_rows(panel, new.toy.split.test) & (panel.weight > 0)
    for target in (0, 1):
        expected = np.median(panel.target[judged, target])
        np.testing.assert_allclose(found["value"][found["target"] == target], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("correction", {"how": "scale", "prior": 0, "most": 0.9}),
        ("correction", {"how": "bias", "prior": 0, "most": 0.9}),
        ("conformal", {}),
        ("conformal", {"unit": "middle"}),
    ],
)
def test_post_processing_corrects_the_others_as_before(
    kind: str, settings: dict[str, Any], new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformal, "_LEAST_ROWS", 10)
    toy = new.toy
    competition = replace(toy.competition, post=[Post(kind, {**settings, "by": ["series"]})])
    asked = many_rows(toy)
    generator = np.random.default_rng(0)

    def loss(part: Asked, value: np.ndarray) -> float:
        return float(np.average(np.abs(value - part.truth).mean(axis=1), weights=part.weight))

    # Every series is off by a factor of its own.
    point = asked.truth * (0.6 + 0.08 * asked.series)[:, None] * generator.gamma(50, 0.02, asked.truth.shape)
    learnt = fit_posts(competition, toy.panel, asked, spread_out(point), loss)
    fold = toy.split.test
    old = asked_of(toy.panel, [(fold.index, fold.asked)], toy.horizon)
    raw = generator.gamma(9, 10, (toy.panel.rows, 2))
    before = apply_posts(competition, toy.panel, old, spread_out(raw[old.row_id]), learnt)
    part = new.split.test
    rows = asked_of(new.panel, [(part.index, part.asked)], toy.horizon)
    given = spread_out(raw[new.row[rows.row_id]])
    after = apply_posts(competition, new.panel, rows, given, learnt)
    place = np.searchsorted(old.row_id, new.row[rows.row_id])
    known = rows.series != NEWCOMER
    for was, now in ((before.point, after.point), (before.quantiles, after.quantiles)):
        assert was is not None
        assert now is not None
        np.testing.assert_allclose(now[known], was[place[known]], rtol=1e-12)
    # A newcomer is given what holds for all rows: as one that no group knows.
    stranger = replace(new.panel, fitted_series=np.full(new.panel.series, -1))
    common = apply_posts(competition, stranger, rows, given, learnt)
    assert after.quantiles is not None
    assert common.quantiles is not None
    np.testing.assert_array_equal(after.point[~known], common.point[~known])
    np.testing.assert_array_equal(after.quantiles[~known], common.quantiles[~known])
    assert not np.allclose(after.quantiles[known], common.quantiles[known])


def test_blenders_are_told_those_numbers(new: New, tmp_path: Path) -> None:
    new.panel.save(tmp_path / "rows" / "panel")
    save_split(new.split, tmp_path / "rows")
    save_competition(new.toy.competition, tmp_path / "rows")
    (tmp_path / "rows" / "meta.json").write_text(json.dumps({"horizon": new.toy.horizon}))
    part = new.split.test
    asked = asked_of(new.panel, [(part.index, part.asked)], new.toy.horizon)
    found = blend_rows(Prepared(tmp_path / "rows"), asked, None)
    np.testing.assert_array_equal(found.series, FITTED[asked.series])


def many_rows(toy: Toy) -> Asked:
    """The rows asked from every origin in the second half of each series' history."""
    panel = toy.panel
    end = toy.split.test.train_end
    pairs = [
        (series, row)
        for series in range(panel.series)
        for row in range((panel.offsets[series] + end[series]) // 2, end[series] - toy.horizon + 1)
    ]
    series, row = np.array(pairs, dtype=np.int64).T
    return asked_of(panel, [(0, Origins(series, row))], toy.horizon)


def spread_out(point: np.ndarray) -> Forecast:
    """(N, K) points with quantiles around them."""
    return Forecast(point, point[:, :, None] * np.array([0.8, 1.0, 1.2]), LEVELS)
