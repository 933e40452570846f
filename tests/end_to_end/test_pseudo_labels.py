"""Pseudo-labels: test groups in the training part, labelled by fits that saw no more than the student may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.predictions import load_predictions
from models.members.base import FitTask
from models.members.lightgbm import LightGBM
from tests.end_to_end.command import here

BREATHS = [
    "competition=ventilator",
    "competition.reader_settings.train_breaths=40",
    "competition.reader_settings.test_breaths=12",
    "competition.folds.count=2",
    "fit.folds=null",
    "executor.name=inline",
    "members=[lightgbm,student]",
    "member.lightgbm.rounds=5",
    "member.student={kind: lightgbm, rounds: 5, pseudo_labels: {of: [lightgbm], weight: 0.25}}",
]


@pytest.mark.slow
def test_each_fold_learns_from_its_own_teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[FitTask] = []
    fit = LightGBM.fit

    def noted(member: LightGBM, task: FitTask) -> None:
        seen.append(task)
        fit(member, task)

    monkeypatch.setattr(LightGBM, "fit", noted)
    finished = here(*BREATHS, "stage=train", f"root={tmp_path}")
    assert finished.code == 0, finished.err
    fits = tmp_path / "artifacts/ventilator/train/demo"
    for number in range(2):
        manifest = json.loads((fits / f"student/seed0/fold{number}/manifest.json").read_text())
        taught = [path for path in manifest["inputs"] if path.startswith("train/")]
        assert taught == [f"train/demo/lightgbm/seed0/fold{number}"]
        teacher, student = (
            next(task for task in seen if task.fold.index == number and _folder_of(task) == name)
            for name in ("lightgbm", "student")
        )
        panel = student.panel
        series = np.unique(panel.series_of_row()[panel.test])
        others = np.setdiff1d(np.arange(panel.series), series)
        # All test groups are learnt from, and of the others exactly those that the teacher learnt from.
        assert (student.fold.train_end[series] == panel.offsets[series + 1]).all()
        assert (teacher.fold.train_end[series] == panel.offsets[series]).all()
        np.testing.assert_array_equal(student.fold.train_end[others], teacher.fold.train_end[others])
        held_out = np.unique(student.fold.asked.series)
        assert (student.fold.train_end[held_out] == panel.offsets[held_out]).all()
        # Labels are the teacher's forecasts of that fold; nothing else of the inputs differs.
        forecast = load_predictions(fits / f"lightgbm/seed0/fold{number}/test.parquet")
        rows = forecast["row_id"].to_numpy()
        assert set(rows) == set(np.flatnonzero(panel.test))
        np.testing.assert_allclose(student.inputs.target[rows, 0], forecast["value"], rtol=1e-5)
        assert not teacher.inputs.observed[rows].any()
        assert student.inputs.observed[rows].all()
        np.testing.assert_allclose(student.inputs.weight[rows], 0.25 * teacher.inputs.weight[rows])
        rest = np.setdiff1d(np.arange(panel.rows), rows)
        for name in ("target", "observed", "weight", "real"):
            ours, theirs = getattr(student.inputs, name)[rest], getattr(teacher.inputs, name)[rest]
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(student.inputs.real, teacher.inputs.real)
        own = load_predictions(fits / f"student/seed0/fold{number}/oof.parquet")
        known = load_predictions(fits / f"lightgbm/seed0/fold{number}/oof.parquet")
        assert not np.allclose(own["value"], known["value"]), "the labels changed nothing"


def _folder_of(task: FitTask) -> str:
    """The member whose fit it is."""
    return "student" if "student" in str(task.folder) else "lightgbm"


STUDENT = "member.student.pseudo_labels"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([f"{STUDENT}.of=[lightgmb]"], "lightgmb"),
        ([f"{STUDENT}.of=[student]"], "member without pseudo-labels"),
        ([f"{STUDENT}.of=[]"], "found no member"),
        ([f"{STUDENT}.weight=0"], "expected a number above 0"),
        (["fit.refit=all"], "labels are those of each fold"),
        (["stage=tune", "tune.trials=2"], "tune the members that it learns from instead"),
    ],
)
def test_refused_in_one_line(words: list[Any], line: str, tmp_path: Path) -> None:
    finished = here(*BREATHS, *words, f"root={tmp_path}")
    assert finished.code == 2
    assert STUDENT in finished.err
    assert line in finished.err
    assert len(finished.err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_not_for_horizon_tasks(shop_words: list[str], tmp_path: Path) -> None:
    student = "member.student={kind: lightgbm, pseudo_labels: {of: [lightgbm]}}"
    finished = here(*shop_words, student, "members=[lightgbm,student]", f"root={tmp_path}")
    assert finished.code == 2
    assert "expected a sequence task" in finished.err
