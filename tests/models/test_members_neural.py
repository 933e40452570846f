"""Neural members: resumed fits under every schedule, early stopping's inner slice, the epoch log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.folds import Origins
from data.inputs import build_inputs
from data.origins import OriginSampler
from data.settings import Windows
from data.windows import WindowDataset
from models.members import neural
from models.members.base import FitTask
from models.members.catalogue import make_member
from models.members.checkpoints import BEST, CHECKPOINT
from models.members.epoch_log import LOG, append_row, best_epoch
from models.members.training import training_sampler, training_targets
from models.settings import Fit
from tests.members import (
    CONTEXT,
    FIT,
    Killed,
    Toy,
    fit_task,
    garbled_from,
    killer,
    make_toy,
    same,
    small_settings,
)

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
    assert not (tmp_path / "killed" / BEST).exists()


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


@pytest.mark.parametrize("averaging", ["none", "ema"])
@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_early_stopping_returns_to_its_best_epoch(name: str, averaging: str, tmp_path: Path) -> None:
    """As if training had ended with it, averaged weights included."""
    toy = make_toy(name)
    steady = {"schedule": "constant", "warmup": 0.0, "averaging": averaging, "averaging_decay": 0.5}
    early = replace(FITS["early stopping"], **steady)
    expected = fitted(fit_task(toy, tmp_path / "whole", fit=early), toy.fold.asked)
    best = best_epoch(tmp_path / "whole")
    assert best < len(pd.read_csv(tmp_path / "whole" / LOG)), "it must stop after the best epoch"
    ended_there = fit_task(toy, tmp_path / "short", fit=replace(early, max_epochs=best))
    same(fitted(ended_there, toy.fold.asked), expected)


@pytest.mark.parametrize("fit", [FITS["early stopping"], FITS["plateau"]], ids=["early", "plateau"])
def test_no_inner_slice_where_nothing_would_be_left(fit: Fit, tmp_path: Path) -> None:
    """Series as short as a window have no second horizon to watch; all epochs run."""
    toy = make_toy("horizon")
    few = replace(toy.fold, train_end=np.minimum(toy.fold.train_end, toy.panel.offsets[:-1] + 3))
    task = fit_task(toy, tmp_path, fit=fit, fold=few)
    assert np.isfinite(fitted(task, toy.fold.asked)["value"]).all()
    assert len(pd.read_csv(tmp_path / LOG)) == fit.max_epochs


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_a_refit_holds_nothing_back_for_plateau(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns from all it may; with early stopping of its own (fit.refit_epochs=own) it watches a slice."""
    learnt_to: list[np.ndarray] = []

    def sampler(task: FitTask, train_end: np.ndarray) -> OriginSampler:
        learnt_to.append(train_end)
        return training_sampler(task, train_end)

    monkeypatch.setattr(neural, "training_sampler", sampler)
    toy = make_toy(name)
    refit = toy.split.test
    falls = replace(FITS["plateau"], max_epochs=12, learning_rate=0.3)
    fitted(fit_task(toy, tmp_path / "refit", fit=falls, fold=refit), refit.asked)
    np.testing.assert_array_equal(learnt_to.pop(), refit.train_end)
    log = pd.read_csv(tmp_path / "refit" / LOG)
    assert log["inner_loss"].isna().all()
    assert log["learning_rate"].iloc[-1] < log["learning_rate"].max(), "it must follow the training loss"

    for part, fit, fold in (("fold", falls, toy.fold), ("own", FITS["all at once"], refit)):
        fitted(fit_task(toy, tmp_path / part, fit=fit, fold=fold), fold.asked)
        assert (learnt_to.pop() < fold.train_end).any(), part
        assert pd.read_csv(tmp_path / part / LOG)["inner_loss"].notna().all(), part


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


#: Heads and options of a fit, each with the settings that it needs.
OPTIONS = {
    "everything random": replace(FIT, mixup=0.4, mask_covariates=0.2, auxiliary_differences=2),
    "unjudged rows": replace(FIT, unjudged_weight=0.5),
    "student_t": replace(FIT, head="student_t", mixup=0.5, mixup_share=0.5),
    "bins": replace(FIT, head="bins", head_settings={"count": 30}),
}


@pytest.mark.parametrize("fit", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_a_kill_changes_nothing_with_options(fit: Fit, name: str, tmp_path: Path) -> None:
    toy = make_toy(name)
    expected = fitted(fit_task(toy, tmp_path / "whole", fit=fit), toy.fold.asked)
    progress = killer(lambda share, text: text.startswith("epoch 2/3 loss"))
    task = fit_task(toy, tmp_path / "killed", fit=fit, progress=progress)
    with pytest.raises(Killed):
        fitted(task, toy.fold.asked)
    same(fitted(fit_task(toy, tmp_path / "killed", fit=fit), toy.fold.asked), expected)
    plain = fitted(fit_task(toy, tmp_path / "plain"), toy.fold.asked)
    assert (plain["value"] != expected["value"]).any(), "the option must do something"


def counted(toy: Toy) -> Toy:
    """The toy with whole numbers from 0 to 3 as targets, as they are."""
    toy.competition.target_transform = "none"
    return replace(toy, panel=replace(toy.panel, target=np.floor(toy.panel.target / 40.0).clip(0, 3)))


@pytest.mark.parametrize("head", ["negative_binomial", "zero_inflated_poisson", "tweedie", "classes", "bins"])
@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_counts_and_classes_in_original_units(head: str, name: str, tmp_path: Path) -> None:
    toy = counted(make_toy(name))
    task = fit_task(toy, tmp_path, fit=replace(FIT, head=head))
    table = fitted(task, toy.fold.asked)
    assert np.isfinite(table["value"]).all()
    if head != "bins":
        assert (table["value"] >= -1e-4).all()
    if head not in ("tweedie", "bins"):
        np.testing.assert_allclose(table["value"], table["value"].round(), atol=1e-4)


@pytest.mark.parametrize("head", ["poisson", "classes"])
def test_targets_that_a_head_cannot_stand_for(head: str, tmp_path: Path) -> None:
    toy = make_toy("horizon")
    with pytest.raises(InputError, match=rf"fit.head={head} .*target_transform 'log1p', expected none"):
        fitted(fit_task(toy, tmp_path, fit=replace(FIT, head=head)), toy.fold.asked)
    toy.competition.target_transform = "none"
    with pytest.raises(InputError, match=rf"fit.head={head}: found .* in target 'sales'.*expected whole"):
        fitted(fit_task(toy, tmp_path, fit=replace(FIT, head=head)), toy.fold.asked)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_quantiles_are_predicted_beside_the_point(name: str, tmp_path: Path) -> None:
    """By heads that have them; a head of points gives points only."""
    toy = make_toy(name)
    levels = (0.1, 0.5, 0.9)
    inputs = build_inputs(toy.competition, toy.panel, [], toy.fold, CONTEXT, toy.horizon, levels)
    for head, found in (("auto", [0.0, *levels]), ("gaussian", [0.0, *levels]), ("point", [0.0])):
        task = fit_task(toy, tmp_path / head, inputs=inputs, fit=replace(FIT, head=head))
        table = fitted(task, toy.fold.asked)
        np.testing.assert_allclose(sorted(set(table["quantile"])), found, rtol=1e-6)
        if head != "point":
            wide = table.pivot(index=["row_id", "origin", "target"], columns="quantile", values="value")
            low, middle, high = (wide[np.float32(level)] for level in levels)
            assert ((low <= middle) & (middle <= high)).all()
            np.testing.assert_allclose(wide[np.float32(0.0)], middle)


@pytest.mark.parametrize("name", ["sequence", "horizon"])
def test_what_a_head_is_told_of_the_training_rows(name: str, tmp_path: Path) -> None:
    """Judged rows before train_end, or all known ones there if the unjudged count too."""
    toy = make_toy(name)
    panel, ends = toy.panel, np.repeat(toy.fold.train_end, np.diff(toy.panel.offsets))
    known = (np.arange(panel.rows) < ends) & np.isfinite(panel.target).all(1) & panel.present
    for weight, rows in ((0.0, known & (panel.weight > 0)), (0.5, known)):
        task = fit_task(toy, tmp_path, fit=replace(FIT, unjudged_weight=weight))
        windows = WindowDataset(task.inputs).with_unjudged(weight).until(toy.fold.train_end)
        targets = training_targets(task, windows, toy.fold.train_end)
        np.testing.assert_array_equal(targets.original, panel.target[rows])
        scaled = targets.scaled()
        assert scaled.shape[1] == 2
        if name == "sequence":
            inputs = task.inputs
            expected = (np.log1p(panel.target[rows]) - inputs.location) / inputs.scale
            np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-5)
        assert np.abs(scaled).max() < 20


@pytest.mark.parametrize("per_epoch", [None, 16])
@pytest.mark.parametrize("kind", ["lstm", "tft", "nhits"])
def test_nothing_to_learn_from_is_refused(kind: str, per_epoch: int | None, tmp_path: Path) -> None:
    """A network that was never trained would predict, be scored and be blended without a word."""
    toy = make_toy("horizon")
    windows = Windows(per_epoch=per_epoch, min_context=100)
    task = fit_task(toy, tmp_path, windows=windows)
    member = make_member(kind, small_settings(kind))
    with pytest.raises(InputError, match=r"fold0: no window to learn from; .* windows\.min_context=100"):
        member.fit(task)
