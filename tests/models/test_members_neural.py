"""Neural members: resumed fits under every schedule, early stopping's inner slice, the epoch log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.folds import Origins
from models.members.base import FitTask
from models.members.catalogue import make_member
from models.members.neural import CHECKPOINT, LOG, append_row
from models.settings import Fit
from tests.members import FIT, Killed, fit_task, garbled_from, killer, make_toy, same

SETTINGS = {"hidden": 6, "layers": 2, "static_width": 4, "dropout": 0.3}
FITS = {
    "ema": replace(FIT, averaging="ema", averaging_decay=0.8),
    "swa": replace(FIT, averaging="swa"),
    "plateau": replace(FIT, schedule="plateau", patience=1),
    "early stopping": replace(FIT, max_epochs=8, learning_rate=1.0, early_stopping=True, patience=1),
    "all at once": replace(
        FIT,
        averaging="ema",
        averaging_decay=0.5,
        schedule="plateau",
        max_epochs=8,
        learning_rate=1.0,
        early_stopping=True,
        patience=1,
    ),
}


def fitted(task: FitTask, asked: Origins) -> pd.DataFrame:
    member = make_member("lstm", SETTINGS)
    member.fit(task)
    return member.predict(task, asked, "oof")


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_a_kill_at_the_end_of_each_epoch_changes_nothing(fit: Fit, name: str, tmp_path: Path) -> None:
    """Killed after every single epoch, the one at which early stopping stopped included."""
    toy = make_toy(name)
    expected = fitted(fit_task(toy, tmp_path / "whole", fit=fit), toy.fold.asked)
    epochs = pd.read_csv(tmp_path / "whole" / LOG)
    assert list(epochs["epoch"]) == list(range(len(epochs)))
    if fit.early_stopping:
        assert 1 < len(epochs) < fit.max_epochs, "it must stop early for the test to mean something"
    deaths, member = 0, make_member("lstm", SETTINGS)
    for epoch in range(len(epochs)):
        start = f"epoch {epoch + 1}/{fit.max_epochs} loss"
        try:
            progress = killer(lambda share, text, start=start: text.startswith(start))  # type: ignore[misc]
            member.fit(fit_task(toy, tmp_path / "killed", fit=fit, progress=progress))
        except Killed:
            deaths += 1
    assert deaths == len(epochs)
    same(fitted(fit_task(toy, tmp_path / "killed", fit=fit), toy.fold.asked), expected)
    again = pd.read_csv(tmp_path / "killed" / LOG)
    columns = ["epoch", "train_loss", "inner_loss", "learning_rate"]
    pd.testing.assert_frame_equal(again[columns], epochs[columns])
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_early_stopping_looks_at_training_rows_only(name: str, tmp_path: Path) -> None:
    """What lies from train_end on moves neither the inner loss nor the predictions."""
    toy = make_toy(name)
    clean = fit_task(toy, tmp_path / "clean", fit=FITS["early stopping"])
    expected = fitted(clean, toy.fold.asked)
    garbled = garbled_from(toy.panel, toy.fold.train_end)
    task = fit_task(toy, tmp_path / "garbled", garbled, fit=FITS["early stopping"])
    make_member("lstm", SETTINGS).fit(task)
    same(fitted(replace(clean, folder=task.folder), toy.fold.asked), expected)
    first, second = (pd.read_csv(tmp_path / part / LOG) for part in ("clean", "garbled"))
    assert first["inner_loss"].notna().all()
    np.testing.assert_array_equal(first["inner_loss"], second["inner_loss"])


@pytest.mark.parametrize("fit", [FITS["early stopping"], FITS["plateau"]], ids=["early", "plateau"])
def test_no_inner_slice_where_nothing_would_be_left(fit: Fit, tmp_path: Path) -> None:
    """Series as short as a window have no second horizon to watch; all epochs run."""
    toy = make_toy("horizon")
    few = replace(toy.fold, train_end=np.minimum(toy.fold.train_end, toy.panel.offsets[:-1] + 3))
    task = fit_task(toy, tmp_path, fit=fit, fold=few)
    assert np.isfinite(fitted(task, toy.fold.asked)["value"]).all()
    assert len(pd.read_csv(tmp_path / LOG)) == fit.max_epochs


def test_one_training_group_is_not_split(tmp_path: Path) -> None:
    toy = make_toy("sequence")
    begin = toy.panel.offsets[:-1]
    one = begin.copy()
    one[0] = toy.panel.offsets[1]
    fold = replace(toy.fold, train_end=one, asked=Origins(np.array([1]), begin[[1]]))
    task = fit_task(toy, tmp_path, fit=FITS["early stopping"], fold=fold)
    assert np.isfinite(fitted(task, fold.asked)["value"]).all()


def test_the_log_has_an_epoch_once(tmp_path: Path) -> None:
    file = tmp_path / LOG
    for epoch, loss in [(0, 3.0), (1, 2.0), (2, 1.5), (1, 1.9)]:  # resumed after epoch 0
        append_row(file, {"epoch": epoch, "train_loss": loss})
    assert pd.read_csv(file).to_dict("list") == {"epoch": [0, 1], "train_loss": [3.0, 1.9]}
