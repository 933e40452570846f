"""Faults, with real processes: kill -9 of a command or a worker, full disk, broken files, two runs at once.

Whatever happened, the artefacts end equal, bit for bit, to those of a run that nothing disturbed.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from pipeline.clean import leftovers, remove_leftovers
from pipeline.executor import EXECUTORS
from pipeline.executors.processes import Processes
from pipeline.progress import Progress
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from tests.executors import every_executor
from tests.pipeline.toy_jobs import toy

STEPS = [(os, "fsync"), (os, "replace"), (os, "rename"), (shutil, "rmtree"), (Path, "unlink")]
COMMAND = Path(__file__).with_name("toy_command.py")
PATIENCE = 60.0  # seconds until a test gives up waiting


class Command:
    """toy_command.py as a process of its own."""

    def __init__(self, jobs: Sequence[Job], root: Path, executor: str = "processes") -> None:
        file = root.with_name("jobs.json")
        file.write_text(json.dumps([asdict(job) for job in jobs]))
        self.process = subprocess.Popen(
            [sys.executable, str(COMMAND), str(file), str(root), executor],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, code: int = 0) -> tuple[dict[str, Any], str]:
        """The summary it printed, and its stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == code, err
        return (json.loads(out) if out else {}), err


def undisturbed(jobs: Sequence[Job], tmp_path: Path) -> dict[str, bytes]:
    """What the jobs make when nothing goes wrong."""
    store = ArtifactStore(tmp_path / "undisturbed")
    calm = [replace(job, details={"plugins": job.details["plugins"]}) for job in jobs]
    run_jobs(calm, store, EXECUTORS.get("inline")(1, 1))
    return artefacts(store.root)


def artefacts(root: Path) -> dict[str, bytes]:
    """Every file under the readable names; manifests, which hold times, without those."""
    found = {}
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        if not file.is_file() or name.startswith("."):
            continue
        found[name] = file.read_bytes()
        if file.name == "manifest.json":
            manifest = json.loads(found[name])
            files = {name: record["checksum"] for name, record in manifest["files"].items()}
            found[name] = json.dumps([manifest["key"], manifest["inputs"], files]).encode()
    return found


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return value


def lines(log: Path, pattern: str = "") -> list[str]:
    found = log.read_text().splitlines() if log.exists() else []
    return [line for line in found if re.search(pattern, line)]


def steps_done(store: ArtifactStore, path: str) -> int:
    """Steps in the checkpoint of an unfinished toy job."""
    for file in (store.root / ".work").glob(f"{path}@*/checkpoint.json"):
        return len(json.loads(file.read_text()))
    return 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc/self").exists() else True


@pytest.mark.parametrize("executor", every_executor(slow=("ray",)))
def test_killed_command_goes_on_where_it_was(executor: str, store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    details = {"sleep": 0.03, "log": str(log)}
    jobs = [
        toy("first", steps=2, details=details),
        toy("left", "first", steps=12, details=details),
        toy("right", "first", steps=14, details=details),
        toy("last", "left", "right", details=details),
    ]
    command = Command(jobs, store.root, executor)
    wait_for(lambda: steps_done(store, "left") >= 4)
    command.kill()
    workers = {int(line.split(" in ")[1]) for line in lines(log, "start")}
    wait_for(lambda: not any(alive(pid) for pid in workers))
    assert set(artefacts(store.root)) == {"first/result.parquet", "first/manifest.json"}

    summary, err = Command(jobs, store.root, executor).end()
    assert summary["reused"] == ["first"]
    assert summary["ran"] == ["last", "left", "right"]
    assert "1 of 4 already done" in err
    assert len(lines(log, "start first")) == 1
    assert int(lines(log, "start left")[1].split()[3]) >= 4
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)
    assert leftovers(store) == []


@pytest.mark.slow
def test_kills_again_and_again(store: ArtifactStore, tmp_path: Path) -> None:
    """Each run is killed when it has got a little further; the last one may end."""
    log = tmp_path / "log"
    jobs = [
        toy("a", steps=2),
        *[toy(f"b{number}", "a", steps=3) for number in range(6)],
        toy("c", "b0", "b5"),
    ]
    jobs = [replace(job, details={**job.details, "sleep": 0.01, "log": str(log)}) for job in jobs]
    expected = undisturbed(jobs, tmp_path)
    for turn in range(6):
        before = len(lines(log))
        command = Command(jobs, store.root, "inline")
        wait_for(lambda before=before: len(lines(log)) >= before + 2)
        time.sleep(0.008 * turn)
        command.kill()
        found = artefacts(store.root)
        assert all(found[name] == expected[name] for name in found)
        assert all((store.root / name).with_name("manifest.json").exists() for name in found)
    Command(jobs, store.root, "inline").end()
    assert artefacts(store.root) == expected


class Killed(BaseException):
    """Stands for kill -9 where a real one could not be aimed."""


@pytest.mark.slow
def test_kill_at_every_step_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each sync, rename and removal by which an artefact replaces another one."""
    calls = deadly = 0
    real = {(module, name): getattr(module, name) for module, name in STEPS}

    def counted(step: tuple[Any, str]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == deadly:
                raise Killed
            return real[step](*arguments, **named)

        return call

    old, new = [toy("a", steps=2), toy("b", "a")], [toy("a", steps=3), toy("b", "a")]
    expected = undisturbed(new, tmp_path)
    while True:
        deadly += 1
        root = tmp_path / f"kill{deadly}"
        inline = EXECUTORS.get("inline")(1, 1)
        run_jobs(old, ArtifactStore(root), inline)
        calls = 0
        with monkeypatch.context() as patch:
            for step in STEPS:
                patch.setattr(*step, counted(step))
            try:
                run_jobs(new, ArtifactStore(root), inline)
            except Killed:
                pass
            else:
                break
        between = artefacts(root)
        assert all((root / name).with_name("manifest.json").exists() for name in between)
        run_jobs(new, ArtifactStore(root), inline)
        assert artefacts(root) == expected, f"after a kill at step {deadly}"
        back = run_jobs(old, ArtifactStore(root), inline)
        assert back.restored == ["a", "b"], f"after a kill at step {deadly}"
    assert deadly > 20


def test_killed_worker_is_replaced(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    wrong = {"at": 2, "what": "kill", "until": str(tmp_path / "until")}
    jobs = [toy("a", steps=5, details={"wrong": wrong, "log": str(log)}), toy("b", details={"log": str(log)})]
    with Processes(2, 1) as executor:
        summary = run_jobs(jobs, store, executor)
    assert sorted(summary.ran) == ["a", "b"]
    first, second = lines(log, "start a")
    assert first.startswith("start a at 0 in ")
    assert second.startswith("start a at 3 in ")
    assert first.split(" in ")[1] != second.split(" in ")[1]
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)


def test_idle_worker_that_was_killed_is_replaced(store: ArtifactStore) -> None:
    with Processes(2, 1) as executor:
        run_jobs([toy("a"), toy("b")], store, executor)
        for worker in executor._workers:
            worker.process.kill()
        assert sorted(run_jobs([toy("c"), toy("d")], store, executor).ran) == ["c", "d"]


def test_workers_end_when_their_command_is_killed(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    # They say nothing for long, so that it is not a broken pipe that ends them.
    jobs = [toy(path, steps=1, details={"sleep": PATIENCE + 10, "log": str(log)}) for path in "ab"]
    command = Command(jobs, store.root)
    workers = [
        int(line.split(" in ")[1]) for line in wait_for(lambda: lines(log, "start")[1:] and lines(log))
    ]
    assert command.process.pid not in workers
    command.kill()
    wait_for(lambda: not any(alive(pid) for pid in workers))


def test_ctrl_c_stops_workers_and_the_run_goes_on_later(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [toy(path, steps=30, details={"sleep": 0.03, "log": str(log)}) for path in "ab"]
    command = Command(jobs, store.root)
    wait_for(lambda: steps_done(store, "a") >= 2 and steps_done(store, "b") >= 2)
    command.process.send_signal(signal.SIGINT)
    _, err = command.process.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" in err
    assert not any(alive(int(line.split(" in ")[1])) for line in lines(log, "start"))
    Command(jobs, store.root).end()
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)


def test_two_runs_at_once_share_the_work(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    details = {"sleep": 0.05, "log": str(log)}
    jobs = [
        toy("a", steps=10, details=details),
        *[toy(f"b{n}", "a", steps=6, details=details) for n in range(3)],
    ]
    first = Command(jobs, store.root)
    wait_for(lambda: lines(log, "start a"))
    second = Command(jobs, store.root)
    (summary, _), (other, err) = first.end(), second.end()
    assert sorted(summary["ran"] + other["ran"]) == ["a", "b0", "b1", "b2"]
    assert sorted(summary["ran"] + summary["reused"]) == sorted(other["ran"] + other["reused"])
    assert len(lines(log, "start")) == 4
    assert f"waits for another run (process {first.process.pid})" in err
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)


def test_kill_of_the_run_that_another_waits_for(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [toy("a", steps=30, details={"sleep": 0.05, "log": str(log)})]
    first = Command(jobs, store.root)
    wait_for(lambda: steps_done(store, "a") >= 3)
    second = Command(jobs, store.root)
    assert second.process.stderr is not None
    wait_for(lambda: "waits for another run" in second.process.stderr.readline())  # type: ignore[union-attr]
    first.kill()
    summary, _ = second.end()
    assert summary["ran"] == ["a"]
    assert int(lines(log, "start")[1].split()[3]) >= 3
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)


def test_what_a_run_reads_or_makes_is_not_cleaned_away(store: ArtifactStore, tmp_path: Path) -> None:
    jobs = [toy("a", steps=1000, details={"sleep": 0.05})]
    command = Command(jobs, store.root)
    wait_for(lambda: steps_done(store, "a") >= 1)
    [left] = leftovers(store)
    assert remove_leftovers(store, [left]) == []
    command.kill()
    assert remove_leftovers(store, leftovers(store))
    assert leftovers(store) == []


def test_another_run_cannot_replace_what_is_being_read(store: ArtifactStore, tmp_path: Path) -> None:
    reader = [toy("a"), toy("reads", "a", steps=20, details={"sleep": 0.05})]
    first = Command(reader, store.root)
    wait_for(lambda: steps_done(store, "reads") >= 1)
    other = store.root.with_name("other")
    other.mkdir()
    changed = [toy("a", steps=7)]
    file = other / "jobs.json"
    file.write_text(json.dumps([asdict(job) for job in changed]))
    started = time.monotonic()
    outcome = subprocess.run(
        [sys.executable, str(COMMAND), str(file), str(store.root), "inline"], capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "waits for another run" in outcome.stderr
    assert time.monotonic() - started > 0.3
    summary, _ = first.end()
    assert summary["ran"] == ["a", "reads"]
    assert store.state(changed[0]) == "done"


@pytest.mark.parametrize("executor", every_executor(slow=("ray",)))
def test_truncated_parquet_is_reported_and_made_again(
    executor: str, store: ArtifactStore, tmp_path: Path
) -> None:
    jobs = [toy("a"), toy("b", "a"), toy("c")]
    Command(jobs[::2], store.root, executor).end()
    file = store.root / "a" / "result.parquet"
    file.write_bytes(file.read_bytes()[:100])
    summary, err = Command(jobs, store.root, executor).end()
    assert re.search(
        r"artifacts/a is damaged \(result.parquet has 100 bytes, expected \d+\); it is made again", err
    )
    assert summary == {"ran": ["a", "b"], "reused": ["c"]}
    assert artefacts(store.root) == undisturbed(jobs, tmp_path)


def test_truncated_input_of_a_stage_that_runs_alone_is_one_line(store: ArtifactStore) -> None:
    Command([toy("a")], store.root).end()
    file = store.root / "a" / "result.parquet"
    file.write_bytes(file.read_bytes()[:100])
    _, err = Command([toy("b", "a")], store.root).end(code=2)
    [line] = [line for line in err.splitlines() if line.startswith("error:")]
    assert "artifacts/a: the artefact is damaged (result.parquet has 100 bytes, expected" in line
    assert "stage=all" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB; where none can be mounted, files that cannot grow beyond 20 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount"):
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield place
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("executor", every_executor(slow=("ray",)))
def test_full_disk(executor: str, small_disk: Path, tmp_path: Path) -> None:
    store = ArtifactStore(small_disk / "artifacts")
    jobs = [toy("small"), toy("large", "small", steps=1), toy("also", "small")]
    jobs[1] = replace(jobs[1], stage="large", settings={"bytes": 1_000_000})
    with EXECUTORS.get(executor)(1, 1) as running:
        with pytest.raises(InputError) as caught:
            run_jobs(jobs, store, running)
        line = str(caught.value)
        assert line.startswith(f"{store.root}: the disk is full (")
        assert "free some space and run the same command again" in line
        assert set(artefacts(store.root)) == {"small/result.parquet", "small/manifest.json"}
        assert store.state(jobs[0]) == "done"

        fits = [jobs[0], replace(jobs[1], settings={"bytes": 1_000}), jobs[2]]
        remove_leftovers(store, leftovers(store))
        summary = run_jobs(fits, store, running)
    assert (summary.ran, summary.reused) == (["large", "also"], ["small"])
    assert artefacts(store.root) == undisturbed(fits, tmp_path)


def test_full_disk_while_the_store_itself_writes(small_disk: Path) -> None:
    """The job's own files fit, the manifest does not."""
    store = ArtifactStore(small_disk / "artifacts")
    job = toy("a", note="x" * 300_000)
    with pytest.raises(InputError, match="the disk is full"):
        run_jobs([job], store, EXECUTORS.get("inline")(1, 1), progress=Progress(quiet=True))
    assert artefacts(store.root) == {}


def test_artefact_set_aside_returns_without_running(store: ArtifactStore, tmp_path: Path) -> None:
    log = {"log": str(tmp_path / "log")}
    overnight = [toy("a"), toy("b", "a", steps=9, details=log), toy("c", "b", details=log)]
    demo = [toy("a"), toy("b", "a", steps=1, details=log), toy("c", "b", details=log)]
    Command(overnight, store.root).end()
    before = artefacts(store.root)
    summary, _ = Command(demo, store.root).end()
    assert summary == {"ran": ["b", "c"], "reused": ["a"]}
    assert artefacts(store.root) != before
    ran = lines(tmp_path / "log")
    with Processes(2, 1) as executor:
        back = run_jobs(overnight, store, executor)
        assert executor._workers == []
    assert back.restored == ["b", "c"]
    assert artefacts(store.root) == before
    assert lines(tmp_path / "log") == ran
