"""memory.json beside a fit: whose, when, what it depends on, and what happens when it cannot be measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.members.catalogue import make_member
from models.memory.fitted_member import memory_of_fit
from pipeline.member_memory import FILE, WORK, failed_measures, measure_memory, read_memory
from pipeline.stages.train import Train
from tests.end_to_end.command import Root, here
from tests.end_to_end.shops import write_competition
from tests.members import fit_task, make_toy, small_settings
from tests.pipeline.test_report import Run

SMALL = ["fit.max_epochs=1", "executor.name=inline", "member.lstm.hidden=8", "member.lightgbm.rounds=5"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [*write_competition(tmp_path_factory.mktemp("shops")), "members=[lightgbm,lstm]", *SMALL]


@pytest.fixture(scope="module")
def shops(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Root:
    """stage=train of the retail competition, two folds and two seeds."""
    root = tmp_path_factory.mktemp("root")
    finished = here(*words, "stage=train", "fit.seeds=2", f"root={root}")
    assert finished.code == 0, finished.err
    assert "warning" not in finished.out
    return Root(root, "shops")


def measured(root: Root) -> list[str]:
    train = root.artifacts / "train"
    return [file.parent.relative_to(train).as_posix() for file in sorted(train.rglob(FILE))]


def test_one_fit_of_each_network_is_measured(shops: Root) -> None:
    """A refit is validated on nothing, trees have no windows, and one fold of one seed will do."""
    assert measured(shops) == ["demo/lstm/seed0/fold0"]
    content = read_memory(shops.artifacts / "train/demo/lstm/seed0/fold0")
    assert content is not None
    assert content["windows"] > 0
    assert len(content["gradient"]["total"]) == 28 + 1  # the context, and the first row of the horizon
    assert 0 < content["reach95"] <= 28
    assert [layer["layer"] for layer in content["retention"]]


def test_it_is_what_the_measure_says(tmp_path: Path) -> None:
    toy = make_toy("sequence")
    member, task = make_member("lstm", small_settings("lstm")), fit_task(toy, tmp_path)
    member.fit(task)
    measure_memory(member, task)
    memory = memory_of_fit(member, task, work=WORK)
    assert memory is not None
    assert read_memory(tmp_path) == json.loads(json.dumps(memory.to_json()))


def test_switching_it_off_fits_one_fold_again_and_no_other_member(shops: Root, words: list[str]) -> None:
    off = [*words, "stage=train", "fit.seeds=2", "fit.memory=false", f"root={shops.folder}"]
    finished = here(*off)
    assert "1 of 12 ran, 11 already done" in finished.stage("train"), finished.out
    assert measured(shops) == []
    one = here(*words, "stage=train", "fit.seeds=2", "member.lstm.fit.memory=true", "fit.memory=false",
               f"root={shops.folder}")  # fmt: skip
    assert "11 already done" in one.stage("train")
    assert measured(shops) == ["demo/lstm/seed0/fold0"]


def test_a_measure_that_fails_is_told_and_costs_nothing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **more: Any) -> None:
        raise RuntimeError("gradient of <nothing>\nsecond line")

    monkeypatch.setattr("pipeline.member_memory.memory_of_fit", fail)
    finished = here(*words, "members=[lstm]", "fit.folds=[0]", f"root={tmp_path}")
    assert finished.code == 0, finished.err
    line = "warning: memory of lstm/seed0/fold0 could not be measured (RuntimeError: gradient of <nothing>)"
    assert line in finished.out
    root = Root(tmp_path, "shops")
    folder = root.artifacts / "train/demo/lstm/seed0/fold0"
    content = read_memory(folder)
    assert content is not None
    assert any("in fail" in line for line in content["traceback"])
    assert (folder / "oof.parquet").exists()
    assert root.summary()["members"]["lstm"]["cv_mean"] > 0
    assert failed_measures([folder, tmp_path]) == [line.removeprefix("warning: ")]


def test_who_is_asked(tmp_path: Path) -> None:
    """The first of the folds that run, of the first seed; and only where the setting says so."""
    run = Run(tmp_path, "horizon")
    run.prepare()
    run.config.fit.seeds, run.config.fit.folds, run.config.seed = 2, [1], 7
    asked = [job.path for job in Train().jobs(run.config, run.store) if job.settings.get("memory")]
    assert asked == ["train/quick/net_<one>/seed7/fold1"]
    run.config.member["net_<one>"]["fit"] = {"memory": False}
    assert not [job for job in Train().jobs(run.config, run.store) if job.settings.get("memory")]
