"""Rossmann, M4 Hourly and ETTh1 at size=demo on the real files, and the default demo: minutes each."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.command import Finished, Root, apart
from tests.real_data import real_data

pytestmark = pytest.mark.slow


def run(competition: str, folder: Path, *words: str) -> tuple[Finished, Root]:
    """size=demo, as a user would run it; nothing but our own lines is printed."""
    finished = apart(f"competition={competition}", "size=demo", *words, folder=folder, patience=15 * 60)
    assert finished.code == 0, finished.err
    assert not re.search("warn", finished.out + finished.err, re.IGNORECASE)
    root = Root(folder, competition)
    assert root.half_made() == []
    return finished, root


def better_than_the_baselines(root: Root) -> float:
    """The blend's local score, in the competition's metric."""
    summary = root.summary()
    score = next(iter(summary["local_score"].values()))
    assert summary["baselines"]
    for name, value in summary["baselines"].items():
        assert score < value, f"{name}: {value}, blend {score}"
    return float(score)


def test_rossmann(tmp_path: Path) -> None:
    folder = real_data("rossmann")
    _, root = run("rossmann", tmp_path, f"competition.root={folder}")
    submission = pd.read_csv(root.submission())
    test = pd.read_csv(folder / "test.csv.gz", dtype={"StateHoliday": str})
    assert list(submission) == ["Id", "Sales"]
    assert len(submission) == 41_088
    assert submission["Id"].equals(pd.read_csv(folder / "sample_submission.csv.gz")["Id"])
    sales = submission.set_index("Id")["Sales"].reindex(test["Id"]).to_numpy()
    assert (sales[test["Open"] == 0] == 0).all()
    assert (sales[test["Open"] == 1] > 0).all()
    assert better_than_the_baselines(root) < 0.14


def test_m4_hourly(tmp_path: Path) -> None:
    folder = real_data("m4_hourly")
    _, root = run("m4_hourly", tmp_path, f"competition.root={folder}")
    submission = pd.read_csv(root.submission())
    assert list(submission) == ["unique_id", "ds", "y"]
    assert len(submission) == 19_872
    truth = pd.read_parquet(folder / "hourly_test.parquet")
    joined = submission.merge(truth, on=["unique_id", "ds"], validate="one_to_one", suffixes=("", "_true"))
    assert len(joined) == 19_872
    assert better_than_the_baselines(root) < 0.63, "OWA of the seasonal naive"


def test_etth1(tmp_path: Path) -> None:
    """Half of each epoch's windows, three epochs: near the published 0.374 of NLinear (arXiv 2205.13504)."""
    folder = real_data("long_horizon")
    _, root = run("etth1", tmp_path, f"competition.root={folder}")
    submission = pd.read_csv(root.submission())
    assert list(submission) == ["column", "date", "value"]
    assert len(submission) == 7 * 96
    assert 0.35 < better_than_the_baselines(root) < 0.39


def test_the_default_demo(tmp_path: Path) -> None:
    """`make demo` after installation, on simulated breaths."""
    finished, root = run("ventilator", tmp_path)
    submission = pd.read_csv(root.submission())
    assert list(submission) == ["id", "pressure"]
    assert len(submission) == 80_000
    assert better_than_the_baselines(root) < root.summary()["baselines"]["group_median"] / 2
    assert root.summary()["peak_memory_mib"] < 4096
    assert f"artefacts in artifacts{os.sep}ventilator" in finished.out
