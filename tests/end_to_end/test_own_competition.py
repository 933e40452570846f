"""A competition nobody built in: drafted from its files, and written by hand as in README.md."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.command import PROJECT, Finished, Root, apart, here
from tests.end_to_end.shops import write_files

EXAMPLES = PROJECT / "examples"
TINY = ["fit.max_epochs=1", "member.lightgbm.rounds=10", "windows.per_epoch=64", "executor.name=inline"]


@pytest.mark.slow
def test_from_three_files_to_a_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    drafted = here("new=mine", "train=train.csv", "test=test.csv", "sample=sample.csv")
    assert drafted.code == 0, drafted.err
    assert "--config-dir my_conf competition=mine" in drafted.out
    finished = here("--config-dir", "my_conf", "competition=mine", "size=demo", *TINY)
    assert finished.code == 0, finished.err
    check(finished, Root(tmp_path, "mine"), tmp_path / "sample.csv", tmp_path / "test.csv")


def readme_command(beginning: str) -> list[str]:
    """Words after `python -m` of the one command in README.md's worked example that begins so."""
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    found = {line for line in lines if line.startswith(f"python -m {beginning}")}
    return shlex.split(min(found, key=len))[2:]


def test_the_readme_shows_the_example_as_it_is() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert (EXAMPLES / "conf" / "competition" / "bakery.yaml").read_text() in readme


@pytest.mark.slow
def test_the_readmes_draft_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    _, *words = readme_command("pipeline.run new=")
    assert here(*words).code == 0
    name = words[0].removeprefix("new=")
    _, *words = readme_command(f"pipeline.run --config-dir my_conf competition={name}")
    finished = here(*words, *TINY)
    assert finished.code == 0, finished.err
    bakery = tmp_path / "examples" / "bakery"
    check(finished, Root(tmp_path, name), bakery / "sample_submission.csv", bakery / "test.csv")


@pytest.mark.slow
def test_the_example_runs_as_the_readme_shows_it(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    module, *words = readme_command("pipeline.run --config-dir examples/conf competition=bakery")
    assert module == "pipeline.run"
    finished = apart(*words, folder=tmp_path)
    assert finished.code == 0, finished.err
    checked = subprocess.run(
        [sys.executable, "-m", *readme_command("submissions.check")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    bakery = tmp_path / "examples" / "bakery"
    root = Root(tmp_path, "bakery")
    check(finished, root, bakery / "sample_submission.csv", bakery / "test.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"examples", "artifacts", "submissions"}
    summary = root.summary()
    assert set(summary["baselines"]) == {"seasonal_naive", "group_median"}
    assert list(summary["local_score"]) == ["rmspe", "mae"]


def test_the_example_is_short_and_its_files_are_what_the_script_draws(tmp_path: Path) -> None:
    lines = (EXAMPLES / "conf" / "competition" / "bakery.yaml").read_text().splitlines()
    assert len(lines) <= 30
    specification = importlib.util.spec_from_file_location("make", EXAMPLES / "bakery" / "make.py")
    assert specification is not None
    assert specification.loader is not None
    make = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(make)
    for name, table in make.tables().items():
        kept = pd.read_csv(
            EXAMPLES / "bakery" / f"{name}.csv", parse_dates=["date"] if "date" in table else None
        )
        pd.testing.assert_frame_equal(kept, table.reset_index(drop=True), check_dtype=False)


def check(finished: Finished, root: Root, sample: Path, test: Path) -> None:
    """The submission has the sample's ids, and 0 where a shop is closed."""
    submission, rows = pd.read_csv(root.submission()), pd.read_csv(test)
    target = submission.columns[1]
    assert list(submission) == list(pd.read_csv(sample))
    assert submission["id"].equals(rows["id"])
    assert (submission[target][rows["open"] == 0] == 0).all()
    assert (submission[target][rows["open"] == 1] > 0).all()
    assert finished.line("submission:") == (
        f"submission: submissions{os.sep}files{os.sep}{root.competition}-demo.csv ({len(rows)} rows)"
    )
    assert root.half_made() == []
