"""What every registered member keeps to: its own kinds and every network, in both tasks, with two targets."""

from __future__ import annotations

import functools
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError, OutOfTime
from data.folds import Origins
from data.predictions import check_complete
from models.members.base import FitTask, Member, check_installed
from models.members.catalogue import make_member, member_class, member_kinds, member_tasks
from models.network import NETWORKS
from pipeline.config import Config
from pipeline.stages.train import skipped_members
from tests.members import (
    Killed,
    Toy,
    asked_rows_of,
    fit_task,
    garbled_from,
    killer,
    make_toy,
    more_origins,
    same,
    small_settings,
)

TASKS = ("sequence", "horizon")
CASES = [(kind, task) for kind in member_kinds() for task in TASKS if task in member_tasks(kind)]


def there(cases: list[tuple[str, str]]) -> list[Any]:
    """The cases, those marked as skipped whose optional package is not installed."""
    marked = []
    for kind, task in cases:
        lacking = ""
        try:
            check_installed(member_class(kind), kind)
        except InputError as error:
            lacking = str(error)
        marked.append(pytest.param(kind, task, marks=pytest.mark.skipif(bool(lacking), reason=lacking)))
    return marked


FITTED = there([(kind, task) for kind, task in CASES if member_class(kind).cost > 0])
NEURAL = [(kind, task) for kind, task in CASES if kind in NETWORKS.names()]

toy_of = functools.cache(make_toy)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("members")


def settings_of(kind: str, toy: Toy, folder: Path) -> dict[str, Any]:
    """Small settings; an external member gets files that cover every row of its panel."""
    if kind == "group_median":
        return {"by": ["resistance", "promotion", "step"]}
    if kind != "external":
        return small_settings(kind)
    file = folder / f"external-{toy.competition.task}.csv"
    if not file.exists():
        value = np.random.default_rng(8).gamma(2.0, 50.0, (toy.panel.rows, 2))
        table = pd.DataFrame(value, columns=list(toy.panel.target_name))
        table.assign(row_id=np.arange(toy.panel.rows)).to_csv(file, index=False)
    return dict.fromkeys(("oof", "local", "test"), str(file))


def member_of(kind: str, toy: Toy, folder: Path) -> Member:
    return make_member(kind, settings_of(kind, toy, folder))


@functools.cache
def undisturbed(kind: str, name: str, folder: Path) -> tuple[FitTask, pd.DataFrame]:
    """A fit that nothing happened to, and its predictions of `more_origins`; made once."""
    toy = toy_of(name)
    task = fit_task(toy, folder / f"{kind}-{name}")
    member = member_of(kind, toy, folder)
    member.fit(task)
    return task, member.predict(task, more_origins(toy), "oof")


def sorted_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["origin", "row_id", "target"], ignore_index=True)


@pytest.mark.parametrize(("kind", "name"), there(CASES))
class TestMember:
    @pytest.mark.parametrize("part", ["oof", "test"])
    def test_every_asked_row_once_and_in_original_units(
        self, kind: str, name: str, part: str, folder: Path
    ) -> None:
        toy = toy_of(name)
        task, table = undisturbed(kind, name, folder)
        asked = more_origins(toy)
        if part == "test":
            asked = toy.split.test.asked
            table = member_of(kind, toy, folder).predict(task, asked, part)
        check_complete(table, *asked_rows_of(toy, asked), kind, targets=2)
        # Targets are gamma(2, 50), 100 on average; transformed they would be about 4.
        assert 20 < table["value"].median() < 300

    def test_a_fit_sees_nothing_from_train_end_on(
        self, kind: str, name: str, folder: Path, tmp_path: Path
    ) -> None:
        toy = toy_of(name)
        clean, expected = undisturbed(kind, name, folder)
        member = member_of(kind, toy, folder)
        member.fit(fit_task(toy, tmp_path, garbled_from(toy.panel, toy.fold.train_end)))
        same(member.predict(replace(clean, folder=tmp_path), more_origins(toy), "oof"), expected)

    def test_a_prediction_sees_nothing_from_its_origin_on(self, kind: str, name: str, folder: Path) -> None:
        toy = toy_of(name)
        task, _ = undisturbed(kind, name, folder)
        first = toy.fold.train_end.copy()
        first[toy.fold.asked.series] = toy.fold.asked.row
        garbled = fit_task(toy, task.folder, garbled_from(toy.panel, first))
        member = member_of(kind, toy, folder)
        expected = member.predict(task, toy.fold.asked, "oof")
        same(member.predict(garbled, toy.fold.asked, "oof"), expected)

    def test_a_prediction_does_not_depend_on_what_else_is_asked(
        self, kind: str, name: str, folder: Path
    ) -> None:
        toy = toy_of(name)
        task, whole = undisturbed(kind, name, folder)
        asked, member = more_origins(toy), member_of(kind, toy, folder)
        order = np.random.default_rng(1).permutation(len(asked.row))
        shuffled = member.predict(task, Origins(asked.series[order], asked.row[order]), "oof")
        single = [
            member.predict(task, Origins(asked.series[[index]], asked.row[[index]]), "oof") for index in order
        ]
        for other in (shuffled, pd.concat(single)):
            expected, found = sorted_rows(whole), sorted_rows(other)
            keys = ["row_id", "origin", "target"]
            pd.testing.assert_frame_equal(found[keys], expected[keys])
            # A product of matrices may round differently in a batch of another size, by a few last places.
            np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-4, atol=1e-3)

    def test_another_seed_differs_where_seeds_mean_something(
        self, kind: str, name: str, folder: Path, tmp_path: Path
    ) -> None:
        toy = toy_of(name)
        _, expected = undisturbed(kind, name, folder)
        task = fit_task(toy, tmp_path, seed=1)
        member = member_of(kind, toy, folder)
        member.fit(task)
        other = member.predict(task, more_origins(toy), "oof")
        if member.every_seed:
            assert not np.allclose(other["value"], expected["value"], rtol=1e-3)
        else:
            same(other, expected)

    def test_killed_fits_end_as_if_nothing_had_happened(
        self, kind: str, name: str, folder: Path, tmp_path: Path
    ) -> None:
        """Killed again and again in one folder: after an epoch, in the middle of one, at the very end."""
        toy = toy_of(name)
        _, expected = undisturbed(kind, name, folder)
        member = member_of(kind, toy, folder)
        network = kind in NETWORKS.names()
        deaths = 0
        for when in (
            lambda share, text: share >= 0.3 and (not network or "loss" in text),
            lambda share, text: share > 0.4,
            lambda share, text: share >= 1.0 and (not network or "loss" in text),
        ):
            try:
                dying = fit_task(toy, tmp_path, progress=killer(when))
                member.fit(dying)
                member.predict(dying, more_origins(toy), "oof")  # local models do their work here
            except Killed:
                deaths += 1
        assert deaths == 3 or not member.cost, "the test must kill to mean something"
        task = fit_task(toy, tmp_path)
        member.fit(task)
        same(member.predict(task, more_origins(toy), "oof"), expected)

    def test_an_unknown_setting_names_the_nearest(self, kind: str, name: str, folder: Path) -> None:
        with pytest.raises(InputError, match=f"member.{kind}: unknown setting 'wrong_setting'"):
            make_member(kind, {**settings_of(kind, toy_of(name), folder), "wrong_setting": 1})


def altered(settings: Any, read: tuple[str, ...]) -> Any:
    """Fit or Windows with another value in every field that is not in `read`."""
    values = {}
    for field in fields(settings):
        old = getattr(settings, field.name)
        if field.name not in read and old is not None:
            values[field.name] = _other(old)
    return replace(settings, **values)


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {**value, "?": 1}
    return value + ("?" if isinstance(value, str) else 1)


@pytest.mark.parametrize(
    ("kind", "name"), there([case for case in CASES if member_class(case[0]).reads_fit is not None])
)
def test_settings_that_a_member_says_it_does_not_read(
    kind: str, name: str, folder: Path, tmp_path: Path
) -> None:
    """They may be anything: the pipeline does not fit again when they change."""
    toy = toy_of(name)
    task, expected = undisturbed(kind, name, folder)
    member = member_of(kind, toy, folder)
    assert member.reads_fit is not None
    reads = member.reads_windows
    other = fit_task(
        toy,
        tmp_path,
        fit=altered(task.fit, member.reads_fit),
        windows=task.windows if reads is None else altered(task.windows, reads),
        loss=task.loss if "loss" in member.reads_fit else "?",
    )
    member.fit(other)
    same(member.predict(other, more_origins(toy), "oof"), expected)


@pytest.mark.parametrize(("kind", "name"), FITTED)
def test_out_of_time_and_taken_up_again(kind: str, name: str, folder: Path, tmp_path: Path) -> None:
    toy = toy_of(name)
    _, expected = undisturbed(kind, name, folder)
    member = member_of(kind, toy, folder)
    with pytest.raises(OutOfTime):
        member.fit(fit_task(toy, tmp_path, deadline=time.monotonic() - 1.0))
    task = fit_task(toy, tmp_path)
    member.fit(task)
    same(member.predict(task, more_origins(toy), "oof"), expected)


@pytest.mark.parametrize(("kind", "name"), NEURAL)
def test_a_finished_fit_is_not_done_again(kind: str, name: str, folder: Path) -> None:
    """A kill after the fit, in the middle of predicting: the weights are there, and are taken."""
    toy = toy_of(name)
    task, expected = undisturbed(kind, name, folder)
    before = {file: file.stat().st_mtime_ns for file in sorted(task.folder.iterdir())}
    # Not even a deadline that has passed stops what is finished.
    again = replace(task, progress=killer(lambda share, text: share < 1.0), deadline=time.monotonic() - 1.0)
    member = member_of(kind, toy, folder)
    member.fit(again)
    assert {file: file.stat().st_mtime_ns for file in sorted(task.folder.iterdir())} == before
    same(member.predict(again, more_origins(toy), "oof"), expected)


def test_members_are_not_run_on_tasks_they_are_not_made_for() -> None:
    kinds = member_kinds()
    config = Config(members=list(kinds), member={kind: {"kind": kind} for kind in kinds})
    for task in TASKS:
        assert skipped_members(config, task) == [kind for kind in kinds if (kind, task) not in CASES]
    assert "seasonal_naive" in skipped_members(config, "sequence")


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown member 'lightgmb'; did you mean 'lightgbm'"):
        make_member("lightgmb", {})
