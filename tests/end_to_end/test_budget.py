"""budget=: always a valid submission, and a word on what was left out; later the rest is made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.command import Finished, Root, here
from tests.end_to_end.conftest import Done


def run(done: Done, folder: Path, *words: str) -> tuple[Finished, Root]:
    root = Root(folder, "shops")
    finished = here(*done.words, f"root={folder}", *words)
    assert finished.code == 0, finished.err
    submission = pd.read_csv(root.submission())
    assert submission["id"].equals(pd.read_csv(done.root.submission())["id"])
    assert submission["sales"].notna().all()
    assert root.half_made() == []
    return finished, root


@pytest.mark.slow  # it waits for the end of a budget that a busy machine must not use up on the trees
def test_budget_leaves_out_what_does_not_fit(shops: Done, tmp_path: Path) -> None:
    """The trees take a second; so many epochs would take minutes."""
    finished, root = run(shops, tmp_path, "budget=40s", "fit.max_epochs=5000")
    summary = root.summary()
    assert set(summary["members"]) == {"seasonal_naive", "lightgbm"}
    assert list(summary["left_out"]) == ["bilstm seed 0"]
    assert summary["submission"]["baseline"] is None
    assert "out of time" in finished.stage("train")
    said = [line for line in finished.out.splitlines() if "left out:" in line]
    assert said[0].split(":")[1].split() == ["bilstm", "(seed0/fold0)"]
    assert 1 <= len(said) <= 3
    assert sum(summary["stage_seconds"].values()) < 2 * 40, (
        "the report's own time is not in the budget's hands on a busy machine"
    )

    later, _ = run(shops, tmp_path, "fit.max_epochs=5")
    assert set(root.summary()["members"]) == {"seasonal_naive", "lightgbm", "bilstm"}
    assert later.stage("train").startswith("3 of 9 ran, 6 already done")


@pytest.mark.slow
def test_absurdly_small_budget_leaves_the_baseline(shops: Done, tmp_path: Path) -> None:
    finished, root = run(shops, tmp_path, "budget=1s")
    baseline = root.submission("shops-baseline-seasonal_naive")
    assert root.submission().read_bytes() == baseline.read_bytes()
    summary = root.summary()
    assert summary["members"] == {}
    assert summary["blend"] is None
    assert summary["submission"] == {
        "path": "submissions/files/shops-demo.csv",
        "rows": 40,
        "baseline": "seasonal_naive",
    }
    assert set(summary["left_out"]) == {"seasonal_naive seed 0", "lightgbm seed 0", "bilstm seed 0"}
    assert finished.line("submission:").endswith("(40 rows, of the baseline seasonal_naive alone)")
    assert "the budget is spent" in finished.out

    run(shops, tmp_path)
    assert root.submission().read_bytes() == shops.root.submission().read_bytes()
    assert root.keys() == shops.root.keys()
    assert baseline.exists()
