"""Ray in this machine: workers that are lost, stopped or short of places, their output and their GPUs."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from pipeline.compose import compose
from pipeline.executor import Event, make_executor
from pipeline.executors import ray as module
from pipeline.executors.pool import ATTEMPTS
from pipeline.executors.ray import Ray
from pipeline.executors.ray_worker import without_root
from pipeline.perform import Order, Outcome
from pipeline.progress import Progress
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from tests.executors import needs_ray
from tests.pipeline.test_devices import looking_jobs, seen_by_worker
from tests.pipeline.test_faults import Command, alive, artefacts, lines, steps_done, undisturbed, wait_for
from tests.pipeline.toy_jobs import PLUGIN, toy

CORES = 2
GPUS = 2  # that the cluster of these tests believes it has


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """One cluster of this process for all tests of the file, with GPUs that are not there."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=CORES, num_gpus=GPUS, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(autouse=True)
def _all_cores_free(request: pytest.FixtureRequest) -> None:
    """Workers of the test before are gone."""
    if "ray" in request.fixturenames:
        ray = request.getfixturevalue("ray")
        wait_for(lambda: ray.available_resources().get("CPU") == CORES)


@pytest.fixture
def executor(ray: Any) -> Iterator[Ray]:
    with Ray(2) as running:
        yield running


def test_killed_worker_is_replaced_and_its_job_goes_on(
    executor: Ray, store: ArtifactStore, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    wrong = {"at": 2, "what": "kill", "until": str(tmp_path / "until")}
    jobs = [toy("a", steps=5, details={"wrong": wrong, "log": str(log)}), toy("b", details={"log": str(log)})]
    stream = io.StringIO()
    summary = run_jobs(jobs, store, executor, progress=Progress(stream))
    assert sorted(summary.ran) == ["a", "b"]
    first, second = lines(log, "start a")
    assert first.startswith("start a at 0 in ")
    assert second.startswith("start a at 3 in ")
    assert "was lost; it goes on in a fresh one" in stream.getvalue()
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)


def test_worker_that_dies_every_time_fails_its_job_only(executor: Ray, store: ArtifactStore) -> None:
    deadly = Job("mortal", "deadly", {}, details={"plugins": [str(PLUGIN)]})
    stream = io.StringIO()
    summary = run_jobs(
        [deadly, toy("b"), toy("c")], store, executor, progress=Progress(stream), keep_going=True
    )
    assert sorted(summary.done) == ["b", "c"]
    assert f"was lost, {ATTEMPTS} times" in summary.failed["deadly"].reason
    assert "died" in summary.failed["deadly"].details
    assert stream.getvalue().count("goes on in a fresh one") == ATTEMPTS - 1


def test_what_jobs_print_is_shown_and_nothing_of_ray_s(executor: Ray, store: ArtifactStore) -> None:
    details = {"plugins": [str(PLUGIN)]}
    jobs = [Job("talker", path, {}, details=details) for path in ("a", "b")]
    stream = io.StringIO()
    run_jobs(jobs, store, executor, progress=Progress(stream))
    said = stream.getvalue().splitlines()
    assert sorted(line for line in said if "done in" not in line) == [
        "a says hello",
        "a without a line's end",
        "b says hello",
        "b without a line's end",
    ]


def test_cancelled_jobs_end_at_once_and_can_be_done_again(
    executor: Ray, store: ArtifactStore, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    details = {"sleep": 60, "log": str(log)}
    jobs = [toy(path, steps=2, details=details) for path in "ab"]

    def interrupt() -> None:
        wait_for(lambda: steps_done(store, "a") and steps_done(store, "b"))
        import _thread

        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, store, executor)
    started = time.monotonic()
    workers = [int(line.split(" in ")[1]) for line in lines(log, "start")]
    wait_for(lambda: not any(alive(pid) for pid in workers))
    assert time.monotonic() - started < 5
    again = [replace(job, details={**job.details, "sleep": 0}) for job in jobs]
    assert sorted(run_jobs(again, store, executor).ran) == ["a", "b"]
    assert [line.split()[3] for line in lines(log, "start")[2:]] == ["1", "1"]


def test_more_workers_than_places(ray: Any, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that waits for cores which an idle worker holds is given to that one; nobody waits for ever."""
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    jobs = [toy(f"job{number}", steps=2, details={"sleep": 0.3}) for number in range(5)]
    stream = io.StringIO()
    with Ray(4) as executor:
        summary = run_jobs(jobs, store, executor, progress=Progress(stream))
    assert len(summary.ran) == 5
    assert "waits for a place with 1 core" in stream.getvalue()


def test_as_many_workers_as_the_cluster_serves(ray: Any) -> None:
    for threads, gpus, workers in ((1, 0.0, 2), (2, 0.0, 1), (1, None, 2), (1, 2.0, 1), (1, 0.5, 2)):
        with Ray(None, threads, gpus=gpus) as executor:
            assert executor.free() == 1
            executor._connect()
            assert executor.free() == workers, (threads, gpus)


@pytest.mark.parametrize(
    ("gpus", "at_once", "expected"),
    [(1.0, 2, {"0", "1"}), (0.5, 2, {"0"}), (2.0, 1, {"0,1"}), (0.0, 2, {""})],
)
def test_each_worker_sees_its_share_of_the_gpus(
    gpus: float, at_once: int, expected: set[str], ray: Any, store: ArtifactStore, tmp_path: Path
) -> None:
    with Ray(at_once, gpus=gpus) as executor:
        run_jobs(looking_jobs(tmp_path, at_once + 1, at_once), store, executor)
    seen = seen_by_worker(tmp_path)
    assert len(seen) == at_once
    assert {one for of_worker in seen.values() for one in of_worker} == expected


def test_what_no_node_has_is_one_line(ray: Any, store: ArtifactStore) -> None:
    with (
        Ray(2, 4) as executor,
        pytest.raises(InputError, match="no node of the cluster has 4 cores for a job"),
    ):
        run_jobs([toy("a"), toy("b")], store, executor)
    with Ray(2, 1, gpus=3.0) as executor, pytest.raises(InputError, match=r"1 core and 3 GPUs .* 2 GPUs"):
        run_jobs([toy("a"), toy("b")], store, executor)


def test_chain_needs_no_cluster_and_fits_go_to_the_one_that_was_asked_for(
    ray: Any, store: ArtifactStore
) -> None:
    here = Ray(2)
    with here as executor:
        run_jobs([toy("a"), toy("b", "a")], store, executor)
        assert executor._ray is None
    fit = Order(Job("x", "x", {"fit": {}}), "", {}, store.root, 1)
    assert here._better_here(fit)
    there = Ray(2, address="somewhere:1")
    assert not there._better_here(fit)
    assert there._better_here(replace(fit, job=Job("x", "x", {})))


def test_node_that_does_not_see_the_store_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(Job("x", "a/b", {}), "", {}, tmp_path / "nowhere", 1)
    event = without_root(order, "192.0.2.7")
    assert event is not None
    assert "not to be seen on node 192.0.2.7; root=FOLDER must be on storage" in str(event.error)
    assert without_root(replace(order, root=tmp_path), "192.0.2.7") is None

    monkeypatch.setattr(module, "SEEN_SECONDS", 0.5)
    done = Event("done", "a/b", outcome=Outcome("ran", 1, 1, 1))
    late = module._seen(order, done, " on 192.0.2.7")
    assert late.kind == "error"
    assert "a/b/manifest.json: was made on 192.0.2.7 and is not to be seen here" in str(late.error)
    (order.root / "a" / "b").mkdir(parents=True)
    (order.root / "a" / "b" / "manifest.json").touch()
    assert module._seen(order, done, "") is done


def test_nothing_of_ray_is_imported_unless_asked_for() -> None:
    code = (
        "import sys; from pipeline.executor import EXECUTORS; from pipeline.compose import compose; "
        "assert 'ray' in EXECUTORS.names(); compose([]); assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_ray_it_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^executor.name: ray is not installed; pip install 'ray>=2.40'"):
        compose(["executor=ray"])


@needs_ray
def test_settings_reach_it() -> None:
    config = compose(["executor=ray", "executor.address=10.0.0.1:6379", "executor.gpus=0.5", "fit.threads=2"])
    executor = make_executor(config)
    assert isinstance(executor, Ray)
    assert (executor._address, executor._gpus, executor.threads) == ("10.0.0.1:6379", 0.5, 2)
    assert executor._follows
    alone = make_executor(compose(["executor=ray", "executor.workers=3", "fit.device=cpu"]))
    assert isinstance(alone, Ray)
    assert (alone.workers, alone._follows, alone._gpus_if_any) == (3, False, 0.0)


@needs_ray
def test_command_prints_its_own_lines_only(store: ArtifactStore, tmp_path: Path) -> None:
    wrong = {"at": 0, "what": "kill", "until": str(tmp_path / "until")}
    jobs = [toy("a", details={"wrong": wrong}), toy("b"), toy("c")]
    summary, err = Command(jobs, store.root, "ray").end()
    assert summary["ran"] == ["a", "b", "c"]
    ours = re.compile(r"[abc]: .*|about to die")
    assert [line for line in err.splitlines() if not ours.fullmatch(line)] == []


@needs_ray
def test_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """In a process of its own: Ray connects a process once."""
    code = (
        "import sys; from pathlib import Path; from data.errors import InputError\n"
        "from pipeline.executors.ray import Ray\n"
        "try: Ray(2, address='127.0.0.1:9')._connect()\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "executor.address: no cluster at '127.0.0.1:9' (" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert len(done.stderr.splitlines()) == 0
