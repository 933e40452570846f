"""Same seed, same result: whatever executor, however often killed, with another run beside it."""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.command import Process, Root, apart, here
from tests.end_to_end.conftest import BREATHS, Done

EQUAL = (".parquet", ".csv", ".npy", ".npz", ".safetensors", ".txt")
MEASURED = ("log.csv",)  # holds seconds


def assert_same(root: Root, done: Done) -> None:
    """Submission, predictions, features and models are equal to the undisturbed run's, byte for byte."""
    assert root.submission().read_bytes() == done.root.submission().read_bytes()
    found, expected = root.contents(*EQUAL), done.root.contents(*EQUAL)
    assert set(found) == set(expected)
    different = [path for path in expected if found[path] != expected[path] and not path.endswith(MEASURED)]
    assert different == []
    assert root.half_made() == []
    assert root.keys() == done.root.keys()


@pytest.mark.slow
def test_inline_equals_processes(breaths: Done, tmp_path: Path) -> None:
    root = Root(tmp_path, "ventilator")
    finished = here(*BREATHS, "executor.name=inline", f"root={tmp_path}")
    assert finished.code == 0, finished.err
    assert_same(root, breaths)


def epochs(folder: Path) -> list[dict[str, str]]:
    """Of the epoch log in a working folder, the epochs that are in the checkpoint too, which comes after."""
    log, checkpoint = folder / "log.csv", folder / "last.ckpt"
    try:
        with log.open(newline="") as stream:
            rows = [*csv.DictReader(stream)]
        saved = checkpoint.stat().st_mtime_ns >= log.stat().st_mtime_ns
    except FileNotFoundError:
        return []
    return rows if saved else rows[:-1]


@pytest.mark.slow
def test_killed_again_and_again_ends_the_same(breaths: Done, tmp_path: Path) -> None:
    """Killed while it reads files, in a neural epoch, and in the blend; the last run may end."""
    root = Root(tmp_path, "ventilator")
    words = [*BREATHS, f"root={tmp_path}", "executor.name=inline"]
    fit = "train/demo/bilstm/seed0/fold1"

    def in_an_epoch() -> bool:
        return any(len(epochs(folder)) >= 2 for folder in root.working(fit))

    conditions: list[Callable[[], object]] = [
        lambda: root.working("prepare"),
        in_an_epoch,
        lambda: root.working("blend/demo"),
    ]
    logged: list[dict[str, str]] = []
    for condition in conditions:
        command = Process(*words)
        assert command.wait_for(condition), command.end().err
        killed = command.kill()
        assert killed.code == -9
        assert root.half_made() == []
        if logged:
            said = f"train: bilstm fold1 seed 0: goes on after epoch {len(logged)}/12"
            assert said in killed.err.splitlines()
        if condition is in_an_epoch:
            [folder] = root.working(fit)
            logged = epochs(folder)
            before = root.times()
    finished = apart(*words)
    assert finished.code == 0, finished.err
    assert_same(root, breaths)
    assert [*root.artifacts.glob(".work/**/*.*")] == []
    after = root.times()
    assert all(after[path] == time for path, time in before.items()), "something finished was made again"
    with (root.artifacts / fit / "log.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert 2 <= len(logged) < 12
    assert rows[: len(logged)] == logged, (
        "epochs that were finished before the kill, to the seconds they took"
    )
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(12)]


@pytest.mark.slow
def test_two_runs_at_once(breaths: Done, tmp_path: Path) -> None:
    root = Root(tmp_path, "ventilator")
    both = [Process(*BREATHS, f"root={tmp_path}", "executor.name=inline") for _ in range(2)]
    for command in both:
        finished = command.end()
        assert finished.code == 0, finished.err
        assert finished.line("submission:").endswith("(1,600 rows)")
    assert_same(root, breaths)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_kills_at_random_moments(executor: str, breaths: Done, tmp_path: Path) -> None:
    root = Root(tmp_path, "ventilator")
    words = [*BREATHS, f"root={tmp_path}", f"executor.name={executor}", "executor.workers=2"]
    generator = random.Random(executor)
    for _ in range(12):
        command = Process(*words)
        end = time.monotonic() + generator.uniform(2, 12)
        command.wait_for(lambda end=end: time.monotonic() > end)
        command.kill()
        assert root.half_made() == []
    finished = apart(*words)
    assert finished.code == 0, finished.err
    assert_same(root, breaths)
