"""Nested against local score, intervals around forecasts, and what is advised: against plain references."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.predictions import load_predictions, save_predictions
from pipeline.report.advice import advice
from pipeline.report.groupings import groupings
from pipeline.report.intervals import LEVEL, interval_of
from pipeline.report.local_gap import Gap, gap_of, units_of
from pipeline.report.material import Forecasts, Material
from pipeline.report.read_material import read_material
from pipeline.stage import Job, JobContext
from pipeline.stages.report import Report
from tests.pipeline.test_report import TASKS, QuickRun, Run


def material_of(run: Run) -> Material:
    [job] = Report().jobs(run.config, run.store)
    inputs = {path: run.store.root / path for path in job.inputs}
    return read_material(job, JobContext(run.folder, inputs, run.store.root, lambda share, text: None))


@pytest.fixture(scope="module", params=TASKS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return QuickRun(tmp_path_factory.mktemp(f"gap-{request.param}"), request.param).all()


@pytest.fixture(scope="module")
def material(run: Run) -> Material:
    return material_of(run)


def test_the_gap_in_standard_errors() -> None:
    gap = Gap(2.0, [1.0, 2.0, 3.0], 3.0, greater_is_better=False)
    # The deviation of 1, 2, 3 is 1, so the error of their mean is 1 / sqrt(3).
    assert gap.standard_error == pytest.approx(1 / np.sqrt(3))
    assert gap.worse_by == 1.0
    assert gap.within
    assert gap.side == "local"
    assert not replace(gap, local=3.2).within
    turned = replace(gap, greater_is_better=True)
    assert (turned.worse_by, turned.side) == (-1.0, "oof")
    alone = replace(gap, folds=[2.0], local=2.05)
    assert alone.standard_error is None
    assert alone.within is None
    assert not alone.suspicious
    assert replace(alone, local=2.2).suspicious


def test_gap_is_of_the_blend_before_post_processing(run: Run, material: Material) -> None:
    scores = json.loads((run.store.folder("blend/quick") / "scores.json").read_text())
    gap = gap_of(material)
    assert gap is not None
    assert gap.cv == scores["blend"]["cv"]
    assert gap.local == scores["blend"]["local"]["mae"]
    summary = run.summary()["nested_against_local"]
    assert summary["nested"] == gap.cv
    assert summary["gap"] == pytest.approx(gap.local - gap.cv)
    assert summary["within_two_standard_errors"] == gap.within


class Spoilt(QuickRun):
    """A run whose members' forecasts of one part are bad in some rows."""

    part: str
    bad: Callable[[Spoilt, np.ndarray], np.ndarray]  # (N,) bool of panel rows

    @classmethod
    def of(cls, root: Path, task: str, part: str, bad: Callable[[Spoilt, np.ndarray], np.ndarray]) -> Spoilt:
        run = cls(root, task)
        run.part, run.bad = part, bad
        run.all()
        return run

    def _fit(self, job: Job, folder: Path) -> None:
        super()._fit(job, folder)
        file = folder / f"{self.part}.parquet"
        if file.exists():
            table = load_predictions(file)
            bad = self.bad(self, table["row_id"].to_numpy())
            save_predictions(table.assign(value=table["value"] + 4000.0 * bad), file)


@pytest.mark.parametrize("task", TASKS)
def test_the_series_that_make_the_gap_are_named(task: str, tmp_path: Path) -> None:
    def second_asked(run: Spoilt, row: np.ndarray) -> np.ndarray:
        assert run.prepared.split.local is not None
        return run.panel.series_of_row()[row] == run.prepared.split.local.asked.series[1]

    run = Spoilt.of(tmp_path, task, "local", second_asked)
    material = material_of(run)
    gap = gap_of(material)
    assert gap is not None
    assert gap.within is False
    assert gap.side == "local"
    units = {unit.kind: unit for unit in units_of(material, gap)}
    unit = units["group" if task == "sequence" else "series"]
    assert run.prepared.split.local is not None
    bad = int(run.prepared.split.local.asked.series[1])
    first = unit.culprits[0]
    assert first.name == str(run.panel.series_name[bad])
    assert unit.closing == 1
    # Its effect is the difference of the scores with and without its rows.
    local = material.local
    assert local is not None
    assert local.before_post is not None
    without = local.asked.series != bad
    score = material.scorer.score
    expected = score(local.asked, local.before_post) - score(
        local.asked.take(without), local.before_post[without]
    )
    assert first.effect == pytest.approx(expected)
    assert first.rows == int((local.judged & ~without).sum())
    assert ("day" in units) == (run.panel.timestamp is not None)
    text = run.page().text
    assert "beyond 2 standard errors" in text
    assert "that make the gap" in text
    assert "Find out why folds and local rows disagree" in text


def test_days_that_make_folds_worse_are_named(tmp_path: Path) -> None:
    def days(run: Run) -> pd.DatetimeIndex:
        assert run.panel.timestamp is not None
        return pd.DatetimeIndex(run.panel.timestamp)

    def one_day(run: Spoilt, row: np.ndarray) -> np.ndarray:
        stamps = days(run)
        return np.asarray(stamps[row] == stamps[run.prepared.split.folds[-1].asked.row[0]])

    run = Spoilt.of(tmp_path, "horizon", "oof", one_day)
    material = material_of(run)
    gap = gap_of(material)
    assert gap is not None
    assert gap.side == "oof"
    unit = next(unit for unit in units_of(material, gap) if unit.kind == "day")
    day = days(run)[run.prepared.split.folds[-1].asked.row[0]]
    assert unit.culprits[0].name == day.strftime("%a %d %b %Y")


def test_the_interval_holds_what_it_says(run: Run, material: Material) -> None:
    assert material.blend is not None
    for forecasts in (material.oof, material.local):
        assert forecasts is not None
        interval = interval_of(material, forecasts, material.blend)
        assert interval is not None
        assert (interval.low <= interval.high).all()
        judged = forecasts.judged
        truth = forecasts.asked.truth
        inside = (interval.low <= truth) & (truth <= interval.high)
        assert interval.coverage == pytest.approx(inside[judged].mean())
        assert interval.coverage > LEVEL - 0.15
        if forecasts.part == "oof":  # local forecasts may be means over folds, with smaller errors
            assert interval.coverage < LEVEL + 0.1
    member = next(who for who in material.oof.value if who.role == "member")  # type: ignore[union-attr]
    assert interval_of(material, material.oof, member) is None  # type: ignore[arg-type]


def test_quantiles_are_the_interval_where_there_are_some(material: Material) -> None:
    local, blend = material.local, material.blend
    assert local is not None
    assert blend is not None
    middle = local.value[blend]
    quantiles = np.stack([middle - 10, middle, middle + 10], axis=2)
    given: Forecasts = replace(local, quantiles=quantiles, levels=(0.05, 0.5, 0.95))
    interval = interval_of(material, given, blend)
    assert interval is not None
    assert interval.source == "quantiles"
    assert interval.level == pytest.approx(0.9)
    assert np.array_equal(interval.high, middle + 10)


def test_groups_of_rows(run: Run, material: Material) -> None:
    assert material.oof is not None
    found = {one.title: one for one in groupings(material, material.oof)}
    for one in found.values():
        assert one.label.shape == (len(material.oof.asked),)
        assert not one.words or set(one.label[material.oof.judged].tolist()) <= set(one.words)
    if run.competition.task == "horizon" and run.panel.timestamp is not None:
        stamps = pd.DatetimeIndex(run.panel.timestamp[material.oof.asked.row_id])
        assert np.array_equal(found["day of the week"].label, stamps.dayofweek)
        date = found["date"]
        assert [date.dates[code] for code in date.label[:5].tolist()] == list(stamps[:5].normalize())


def with_losses(material: Material, **columns: list[float]) -> Material:
    """The same where the network's fits have another log."""
    epochs = len(next(iter(columns.values())))
    log = pd.DataFrame({"epoch": np.arange(epochs), **columns})
    fits = [replace(fit, log=log) for fit in material.members["net_<one>"]]
    return replace(material, members={**material.members, "net_<one>": fits})


def test_what_losses_advise(material: Material) -> None:
    def words(losses: Material) -> list[str]:
        return [word for one in advice(losses) for word in one.words if "net_" in word and "member." in word]

    falls = [2.0, 1.8, 1.6, 1.4, 1.2, 1.0]
    level = [2.0, 1.2, 1.001, 1.0, 1.0, 1.0]
    turns = [2.0, 1.2, 1.0, 1.1, 1.2, 1.3]
    assert words(with_losses(material, train_loss=falls)) == ["member.net_<one>.fit.max_epochs=12"]
    assert words(with_losses(material, train_loss=level)) == []
    # Where rows were kept to look at, they decide.
    assert words(with_losses(material, train_loss=falls, inner_loss=level)) == []
    assert words(with_losses(material, train_loss=falls, inner_loss=turns)) == [
        "member.net_<one>.fit.early_stopping=true"
    ]


def test_advice_is_what_can_be_done(run: Run, material: Material) -> None:
    found = advice(material)
    assert found
    assert "fit.seeds=2" in [word for one in found for word in one.words]
    for one in found:
        assert all("=" in word for word in one.words)
        assert not one.anchor or one.anchor in run.page().anchors
