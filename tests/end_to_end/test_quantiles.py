"""competition.quantiles through a whole run: who predicts them, what is scored and blended."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.stages.prepare import Prepared
from tests.end_to_end.command import Root, changed, here
from tests.end_to_end.conftest import Done

LEVELS = [0.1, 0.5, 0.9]
WORDS = [
    "competition.quantiles=[0.1,0.5,0.9]",
    "competition.metric=[{name: rmsle},{name: pinball},{name: wql}]",
    "members=[seasonal_naive,lightgbm,bilstm,sure,usual]",
    "member.usual.kind=group_median",
    "member.usual.by=[series,promotion]",
    "member.bilstm.fit.head=gaussian",
    "member.sure.kind=bilstm",
    "member.sure.hidden=8",
    "member.sure.layers=1",
    "member.bilstm.fit.max_epochs=30",
    "member.bilstm.fit.learning_rate=0.01",
]


@pytest.fixture(scope="module")
def run(shops: Done, tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, dict[str, str]]:
    """The retail run once more with quantiles, and the keys that it had before."""
    root = shops.root.copy(tmp_path_factory.mktemp("quantiles") / "root")
    before = root.keys()
    finished = here(*shops.words, f"root={root.folder}", *WORDS)
    assert finished.code == 0, finished.err
    return root, before


@pytest.mark.slow
def test_members_that_predict_quantiles_are_fitted_again(run: tuple[Root, dict[str, str]]) -> None:
    root, before = run
    anew = changed(before, root.keys())
    fitted = {path.split("/")[2] for path in anew if path.startswith("train/")}
    assert fitted == {"seasonal_naive", "lightgbm", "bilstm", "sure", "usual"}  # the last one is new
    assert not any(path.startswith(("prepare", "features")) for path in anew)
    assert root.half_made() == []


@pytest.mark.slow
def test_predictions_have_quantile_rows(run: tuple[Root, dict[str, str]]) -> None:
    root, _ = run
    for member, expected in (
        ("bilstm", [0.0, *LEVELS]),  # a distribution
        ("sure", [0.0, *LEVELS]),  # the quantile head that quantiles bring
        ("lightgbm", [0.0, *LEVELS]),  # a booster a quantile
        ("seasonal_naive", [0.0, *LEVELS]),  # of its own errors
        ("usual", [0.0]),
    ):
        for fit, part in (("fold0", "oof"), ("local", "local"), ("all", "test")):
            table = pd.read_parquet(root.artifacts / f"train/demo/{member}/seed0/{fit}/{part}.parquet")
            np.testing.assert_allclose(sorted(set(table["quantile"])), expected, rtol=1e-6)
            assert table.groupby("quantile").size().nunique() == 1
    blend = pd.read_parquet(root.artifacts / "blend/demo/test.parquet")
    np.testing.assert_allclose(sorted(set(blend["quantile"])), [0.0, *LEVELS], rtol=1e-6)
    assert blend.groupby("quantile").size().nunique() == 1
    assert pd.read_csv(root.submission())["sales"].notna().all()


@pytest.mark.slow
def test_scores_are_those_of_the_rows(run: tuple[Root, dict[str, str]]) -> None:
    """Pinball and coverage of a Gaussian that was fitted, from its own file and the training file."""
    root, _ = run
    members = root.summary()["members"]
    assert members["usual"]["quantiles"] is None
    assert members["lightgbm"]["quantiles"]["metrics"]["pinball"]["local"] > 0
    found = members["bilstm"]["quantiles"]
    table = pd.read_parquet(root.artifacts / "train/demo/bilstm/seed0/fold0/oof.parquet")
    wide = table.pivot(index="row_id", columns="quantile", values="value")
    panel = Prepared(root.artifacts / "prepare").panel
    row = wide.index.to_numpy()
    truth, open_ = panel.target[row, 0], panel.weight[row] > 0
    value = wide[[np.float32(level) for level in LEVELS]].to_numpy()[open_]
    error = truth[open_, None] - value
    level = np.array(LEVELS)
    pinball = np.maximum(level * error, (level - 1) * error).mean()
    assert found["metrics"]["pinball"]["folds"]["fold0"] == pytest.approx(pinball, rel=1e-6)
    coverage = (error <= 0).mean(0)
    np.testing.assert_allclose([found["coverage"][f"{one:g}"] for one in LEVELS], coverage)
    assert coverage == pytest.approx(LEVELS, abs=0.17), "roughly calibrated"
    assert found["metrics"]["wql"]["local"] > 0


@pytest.mark.slow
def test_report_says_who_has_none(run: tuple[Root, dict[str, str]]) -> None:
    page = (run[0].artifacts / "report" / "index.html").read_text()
    assert 'id="quantiles"' in page
    assert re.search(r"<b>usual</b> predicts? points only: no score of quantiles\.", page)
    assert "blend, post-processed" in page


def test_without_quantiles_there_is_no_section(shops: Done) -> None:
    assert 'id="quantiles"' not in (shops.root.artifacts / "report" / "index.html").read_text()
    assert "quantiles" not in shops.root.summary()["members"]["bilstm"]


def test_a_target_that_cannot_be_counted(shops: Done, tmp_path: Path) -> None:
    words = ["competition.target_transform=none", "member.bilstm.fit.head=poisson", "members=[bilstm]"]
    finished = here(*shops.words, f"root={tmp_path}", *words)
    assert finished.code == 2
    assert "fit.head=poisson: found " in finished.err
    assert "Traceback" not in finished.err
