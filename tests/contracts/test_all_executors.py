"""Every registered executor: the same artefacts, the same errors, the same way of going on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import InputError
from pipeline.executor import EXECUTORS, Executor, JobFailed
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from tests.pipeline.toy_jobs import PLUGIN, toy

pytestmark = pytest.mark.usefixtures("thread_variables")

# A diamond, two lines of its own, and something that joins all.
JOBS = [
    toy("a", seed=1),
    toy("b/left", "a"),
    toy("b/right", "a", steps=5),
    toy("c", seed=2),
    toy("d", "b/left", "b/right", "c"),
]


def content(store: ArtifactStore) -> dict[str, bytes]:
    """Every file but manifests, which hold times."""
    return {
        file.relative_to(store.root).as_posix(): file.read_bytes()
        for file in sorted(store.root.rglob("*"))
        if file.is_file() and file.name != "manifest.json" and ".locks" not in file.parts
    }


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_same_artefacts_as_inline(executor: Executor, store: ArtifactStore, tmp_path: Path) -> None:
    summary = run_jobs(JOBS, store, executor)
    assert sorted(summary.ran) == sorted(job.path for job in JOBS)
    reference = ArtifactStore(tmp_path / "reference")
    run_jobs(JOBS, reference, EXECUTORS.get("inline")(1, 1))
    assert content(store) == content(reference)
    assert set(content(store)) == {f"{job.path}/result.parquet" for job in JOBS}
    assert [store.key(job) for job in JOBS] == [reference.key(job) for job in JOBS]


def test_second_run_does_nothing(executor: Executor, store: ArtifactStore, tmp_path: Path) -> None:
    log = {"log": str(tmp_path / "log")}
    jobs = [Job(**{**vars(job), "details": {**job.details, **log}}) for job in JOBS]
    run_jobs(jobs, store, executor)
    before = lines(tmp_path / "log")
    stamps = {file: file.stat().st_mtime_ns for file in store.root.rglob("*")}
    summary = run_jobs(jobs, ArtifactStore(store.root), executor)
    assert (summary.ran, len(summary.reused)) == ([], len(JOBS))
    assert "already done" in summary.line()
    assert lines(tmp_path / "log") == before
    assert len(before) == 2 * len(JOBS)
    assert {file: file.stat().st_mtime_ns for file in store.root.rglob("*")} == stamps


def test_changed_setting_reruns_what_depends_on_it_and_nothing_else(
    executor: Executor, store: ArtifactStore
) -> None:
    run_jobs(JOBS, store, executor)
    changed = [*JOBS[:2], toy("b/right", "a", steps=4), *JOBS[3:]]
    summary = run_jobs(changed, ArtifactStore(store.root), executor)
    assert sorted(summary.ran) == ["b/right", "d"]
    assert sorted(summary.reused) == ["a", "b/left", "c"]
    back = run_jobs(JOBS, ArtifactStore(store.root), executor)
    assert (back.ran, sorted(back.restored)) == ([], ["b/right", "d"])


def test_bad_input_comes_back_as_one_line_and_stops(executor: Executor, store: ArtifactStore) -> None:
    bad = toy("bad", details={"wrong": {"at": 0, "what": "input"}})
    after = [toy(f"after{number}", "bad") for number in range(3)]
    with pytest.raises(InputError, match=r"^train.csv: column 'a' is missing$"):
        run_jobs([bad, *after], store, executor)
    assert content(ArtifactStore(store.root / "after0")) == {}
    assert store.state(bad) == "missing"


def test_bug_comes_back_with_its_traceback_and_others_go_on(executor: Executor, store: ArtifactStore) -> None:
    bug = toy("bug", details={"wrong": {"at": -1, "what": "bug"}})
    jobs = [bug, toy("needs", "bug"), toy("alone")]
    with pytest.raises(JobFailed, match=r"(?s)job bug failed.*go_wrong.*ZeroDivisionError: a bug of our own"):
        run_jobs(jobs, store, executor)
    assert store.state(jobs[2]) == "done"
    summary = run_jobs(jobs, store, executor, keep_going=True)
    assert list(summary.failed) == ["bug"]
    assert summary.failed["bug"].reason == "ZeroDivisionError: a bug of our own"
    assert summary.without_input == {"needs": "needs bug"}
    assert summary.reused == ["alone"]


def test_failed_job_goes_on_from_its_checkpoint(
    executor: Executor, store: ArtifactStore, tmp_path: Path
) -> None:
    log, until = tmp_path / "log", str(tmp_path / "until")
    wrong = {"at": 1, "what": "bug", "until": until}
    jobs = [toy("a", details={"wrong": wrong, "log": str(log)}), toy("b")]
    run_jobs(jobs, store, executor, keep_going=True)
    run_jobs(jobs, store, executor)
    starts = [line.split(" in ")[0] for line in lines(log) if line.startswith("start")]
    assert starts == ["start a at 0", "start a at 2"]
    reference = ArtifactStore(tmp_path / "reference")
    run_jobs([toy("a"), toy("b")], reference, EXECUTORS.get("inline")(1, 1))
    assert content(store) == content(reference)


def test_out_of_time_is_noted_and_not_fatal(executor: Executor, store: ArtifactStore) -> None:
    late = toy("late", details={"wrong": {"at": 1, "what": "time"}})
    summary = run_jobs([late, toy("needs", "late"), toy("alone")], store, executor)
    assert summary.out_of_time == {"late": "at a toy's step", "needs": "needs late"}
    assert summary.ran == ["alone"]


def test_full_disk_is_one_line(executor: Executor, store: ArtifactStore) -> None:
    jobs = [toy("first"), toy("full", "first", details={"wrong": {"at": 1, "what": "full"}})]
    with pytest.raises(
        InputError, match=r"the disk is full .* free some space and run the same command again"
    ):
        run_jobs(jobs, store, executor)
    assert store.state(jobs[0]) == "done"
    assert store.state(jobs[1]) == "missing"


def test_threads_seeds_and_determinism_do_not_depend_on_who_does_the_job(
    executor: Executor, store: ArtifactStore, tmp_path: Path
) -> None:
    details = {"plugins": [str(PLUGIN)]}
    fit = {"threads": 2, "deterministic": True}
    jobs = [
        Job("environment", "fit", {"fit": fit}, details=details),
        Job("environment", "plain", {"x": 1}, details=details),
    ]
    run_jobs(jobs, store, executor)
    seen = json.loads((store.folder("fit") / "seen.json").read_text())
    assert seen["torch"] == [2, True]
    assert seen["OMP_NUM_THREADS"] == seen["MKL_NUM_THREADS"] == "2"
    assert json.loads((store.folder("plain") / "seen.json").read_text())["OMP_NUM_THREADS"] == "1"
    reference = ArtifactStore(tmp_path / "reference")
    run_jobs([jobs[1], jobs[0]], reference, EXECUTORS.get("inline")(1, 1))
    assert content(store) == content(reference)
