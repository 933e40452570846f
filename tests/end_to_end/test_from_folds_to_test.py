"""From folds to a forecast of the test rows: how long a refit trains, how fits of a member are averaged."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from data.predictions import prediction_table, save_predictions
from data.scoring import Asked
from models.members.epoch_log import append_row, best_epoch
from pipeline.member_predictions import averaged
from tests.end_to_end.command import here

FITS = Path("artifacts/shops/train/demo/lstm/seed0")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_a_refit_trains_as_long_as_the_folds_found_best(shop_words: list[str], tmp_path: Path) -> None:
    words = [
        *shop_words,
        "executor.name=inline",
        "members=[lstm]",
        "member.lstm.hidden=8",
        "fit.early_stopping=true",
        "fit.max_epochs=7",
        "fit.patience=1",
        "fit.learning_rate=0.05",
        "fit.memory=false",
        "competition.folds.count=2",
        "fit.folds=null",
        "stage=train",
        f"root={tmp_path}",
    ]
    finished = here(*words)
    assert finished.code == 0, finished.err
    fits = tmp_path / FITS
    folds = sorted(fits.glob("fold*"))
    assert len(folds) == 2
    found = [best_epoch(folder) for folder in folds]
    for folder, best in zip(folds, found, strict=True):
        losses = [float(row["inner_loss"]) for row in rows(folder)]
        assert losses[best - 1] == min(losses)
    assert min(found) < 7, "nothing was stopped early: the test shows nothing"
    for refit in ("local", "all"):
        log = rows(fits / refit)
        assert len(log) == round(float(np.mean(found)))
        assert {row["inner_loss"] for row in log} == {"nan"}, "a refit held rows back"

    finished = here(*words, "fit.refit_epochs=own")
    assert finished.code == 0, finished.err
    assert "2 of 4 ran" in finished.stage("train"), "folds are the same, refits are not"
    assert all(np.isfinite(float(row["inner_loss"])) for row in rows(fits / "all"))


def test_the_best_epoch(tmp_path: Path) -> None:
    for epoch, loss in enumerate([3.0, 1.0, float("nan"), 2.0]):
        append_row(tmp_path / "log.csv", {"epoch": epoch, "inner_loss": loss})
    assert best_epoch(tmp_path) == 2
    unwatched = tmp_path / "unwatched"
    unwatched.mkdir()
    for epoch in range(3):
        append_row(unwatched / "log.csv", {"epoch": epoch, "inner_loss": float("nan")})
    assert best_epoch(unwatched) == 3


@pytest.mark.parametrize(("how", "expected"), [("mean", 34.0), ("median", 1.0)])
def test_one_fit_that_went_astray(how: str, expected: float, tmp_path: Path) -> None:
    count = 4
    index, none = np.arange(count), np.zeros(count, dtype=np.int64)
    asked = Asked(
        row_id=index,
        series=none,
        origin=none,
        fold=none,
        step=index + 1,
        truth=np.full((count, 1), np.nan),
        weight=np.ones(count, np.float32),
    )
    folders = {}
    for name, value in {"a": 1.0, "b": 100.0, "c": 1.0}.items():
        folders[name] = tmp_path / name
        folders[name].mkdir()
        table = prediction_table(index, none, np.full((count, 1), value))
        save_predictions(table, folders[name] / "test.parquet")
    found = averaged(list(folders), "test", asked, folders, "member", how=how)
    np.testing.assert_allclose(found, np.full((count, 1), expected))
