"""Jobs that a source hands out as it goes: it is told of every end, so nothing waits for one in vain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.budget import Budget
from pipeline.executor import EXECUTORS, Executor, JobFailed
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from tests.limit import within
from tests.pipeline.toy_jobs import Rounds, toy

pytestmark = pytest.mark.usefixtures("thread_variables")

PATIENCE = 60.0  # seconds, on a machine that does other things too
BUG = "ZeroDivisionError: a bug of our own"


def refit(what: str, together: bool) -> list[list[Job]]:
    """Two folds, one of which ends badly, and what needs both: in one list with them, or asked for later."""
    wrong: dict[str, Any] = {"wrong": {"at": 0, "what": what}}
    folds = [toy("fold0", details=wrong), toy("fold1")]
    later = [toy("local", "fold0", "fold1"), toy("after", "local")]
    return [[*folds, *later]] if together else [folds, later]


@pytest.mark.parametrize("together", [True, False])
def test_a_source_is_told_of_jobs_whose_input_was_given_up(
    executor: Executor, store: ArtifactStore, together: bool
) -> None:
    source = Rounds(*refit("time", together))
    with within(PATIENCE):
        summary = run_jobs([], store, executor, source=source)
    assert source.told == {
        "fold0": "out of time: at a toy's step",
        "fold1": "done",
        "local": "out of time: needs fold0",
        "after": "out of time: needs local",
    }
    assert list(summary.out_of_time) == ["fold0", "local", "after"]
    assert summary.ran == ["fold1"]


@pytest.mark.parametrize("together", [True, False])
def test_a_source_is_told_of_jobs_whose_input_failed(
    executor: Executor, store: ArtifactStore, together: bool
) -> None:
    """What is raised is the failure itself, not that something is missing for its sake."""
    source = Rounds(*refit("bug", together))
    with within(PATIENCE), pytest.raises(JobFailed, match=r"(?s)fold0 failed.*go_wrong.*a bug of our own"):
        run_jobs([], store, executor, source=source)
    assert source.told == {"fold0": BUG, "fold1": "done", "local": "needs fold0", "after": "needs local"}


@pytest.mark.parametrize("together", [True, False])
def test_a_failure_that_was_expected_is_an_input_lost_too(
    executor: Executor, store: ArtifactStore, together: bool
) -> None:
    source = Rounds(*refit("bug", together), expected=True)
    with within(PATIENCE):
        summary = run_jobs([], store, executor, source=source)
    assert source.told == {"fold0": BUG, "fold1": "done", "local": "needs fold0", "after": "needs local"}
    assert summary.failed == {}
    assert summary.without_input == {"local": "needs fold0", "after": "needs local"}


def test_a_source_is_told_of_jobs_that_are_not_begun(store: ArtifactStore) -> None:
    source = Rounds(*refit("time", True))
    with within(PATIENCE):
        run_jobs([], store, EXECUTORS.get("inline")(1, 1), Budget(time.time() - 1), source=source)
    spent = "out of time: the budget is spent"
    assert source.told == {
        "fold0": spent,
        "fold1": spent,
        "local": "out of time: needs fold0",
        "after": "out of time: needs local",
    }


def test_what_is_asked_for_again_is_lost_no_more(store: ArtifactStore, tmp_path: Path) -> None:
    """It fails once; the second time it is made, and what needs it too."""
    details = {"wrong": {"at": 0, "what": "bug", "until": str(tmp_path / "until")}}
    fold, local = toy("fold0", details=details), toy("local", "fold0")
    source = Rounds([fold, local], [fold, local], expected=True)
    with within(PATIENCE):
        summary = run_jobs([], store, EXECUTORS.get("inline")(1, 1), source=source)
    assert source.told == {"fold0": "done", "local": "done"}
    assert summary.ran == ["fold0", "local"]
    assert summary.without_input == {}
