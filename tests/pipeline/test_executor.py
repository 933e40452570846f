"""Schedule, budget, workers and the progress display."""

from __future__ import annotations

import io
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import InputError
from pipeline.budget import Budget
from pipeline.config import Config
from pipeline.executor import EXECUTORS, Event, Executor, JobFailed, available_cores, make_executor
from pipeline.executors.pool import ATTEMPTS
from pipeline.executors.processes import Processes
from pipeline.perform import Order, Outcome, threads_of
from pipeline.progress import Progress, duration
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore
from tests.pipeline.toy_jobs import PLUGIN, toy


class Recorded(Executor):
    """Inline, and notes what it was given, and how many at a time."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__(workers, 1)
        self.orders: list[Order] = []
        self.alone: list[str] = []
        self._taken: list[Order] = []
        self._inline = EXECUTORS.get("inline")(1, 1)

    def free(self) -> int:
        return self.workers - len(self._taken)

    def submit(self, order: Order, alone: bool = False) -> None:
        self.orders.append(order)
        self._taken.append(order)
        if alone:
            self.alone.append(order.job.path)

    def wait(self, on_event: Callable[[Event], None]) -> None:
        self._inline.submit(self._taken.pop(0))
        self._inline.wait(on_event)

    def cancel(self) -> None:
        self._taken.clear()

    @property
    def paths(self) -> list[str]:
        return [order.job.path for order in self.orders]


def test_order_is_kept_and_inputs_come_first(store: ArtifactStore) -> None:
    jobs = [toy("a"), toy("b", "a"), toy("c", "b"), toy("d")]
    executor = Recorded(2)
    run_jobs(jobs, store, executor)
    assert executor.paths == ["a", "d", "b", "c"]
    assert executor.alone == ["c"]  # d could run beside a and b
    with pytest.raises(AssertionError, match="b comes before its input a"):
        run_jobs([jobs[1], jobs[0]], store, executor)


def test_chain_needs_no_worker(store: ArtifactStore) -> None:
    with Processes(2, 1) as executor:
        run_jobs([toy("a"), toy("b", "a"), toy("c", "a", "b")], store, executor)
        run_jobs([toy("a"), toy("b", "a"), toy("c", "a", "b")], store, executor)
        assert executor._workers == []


def test_workers_live_on_from_stage_to_stage_and_end_with_the_executor(
    store: ArtifactStore, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with Processes(2, 1) as executor:
        for stage in ("x", "y"):
            jobs = [toy(f"{stage}{number}", details={"log": str(log), "sleep": 0.02}) for number in range(4)]
            run_jobs(jobs, store, executor)
        run_jobs([toy("alone", details={"log": str(log)})], store, executor)
        processes = [worker.process for worker in executor._workers]
        assert executor.peak_memory_mib() > 20
    used = {int(line.split(" in ")[1]) for line in log.read_text().splitlines() if " in " in line}
    assert used <= {process.pid for process in processes}
    assert len(processes) == 2
    assert all(process.poll() is not None for process in processes)


def test_worker_that_dies_every_time_fails_its_job_only(store: ArtifactStore) -> None:
    deadly = Job("mortal", "deadly", {}, details={"plugins": [str(PLUGIN)]})
    stream = io.StringIO()
    with Processes(2, 1) as executor:
        summary = run_jobs(
            [deadly, toy("b"), toy("c")], store, executor, progress=Progress(stream), keep_going=True
        )
    assert sorted(summary.done) == ["b", "c"]
    failed = summary.failed["deadly"]
    assert (
        f"killed by signal 9 (SIGKILL; perhaps the machine ran out of memory), {ATTEMPTS} times"
        in failed.reason
    )
    assert "about to die" in failed.details
    assert stream.getvalue().count("goes on in a fresh one") == ATTEMPTS - 1


def test_what_workers_print_is_shown(store: ArtifactStore) -> None:
    jobs = [Job("talker", path, {}, details={"plugins": [str(PLUGIN)]}) for path in ("a", "b")]
    stream = io.StringIO()
    with Processes(2, 1) as executor:
        run_jobs(jobs, store, executor, progress=Progress(stream))
    assert {"a says hello", "b says hello", "b without a line's end"} <= set(stream.getvalue().splitlines())


def test_budget_does_not_start_what_cannot_end(store: ArtifactStore) -> None:
    slow = {"group": "slow", "sleep": 1.0}  # so long that a busy machine makes no difference
    jobs = [toy("slow0", details=slow), toy("slow1", details=slow), toy("quick", details={"group": "quick"})]
    run_jobs(jobs[:1], store, Recorded())
    executor = Recorded()
    summary = run_jobs(jobs, store, executor, Budget(time.time() + 2.5))
    assert executor.paths == ["quick"]
    assert "it would take about" in summary.out_of_time["slow1"]
    spent = run_jobs([*jobs, toy("more")], store, executor, Budget(time.time() - 1))
    assert spent.reused == ["slow0", "quick"]
    assert spent.out_of_time == {"slow1": "the budget is spent", "more": "the budget is spent"}


def test_budget_reaches_the_job(store: ArtifactStore) -> None:
    job = toy("long", steps=100, details={"sleep": 0.05})
    summary = run_jobs([job], store, Recorded(), Budget(time.time() + 0.2))
    assert summary.out_of_time["long"].startswith("at step")
    assert len(list(store.working_folder("long", store.key(job)).iterdir())) > 0


def test_earlier_work_counts_towards_an_estimate(store: ArtifactStore) -> None:
    group = {"group": "g", "sleep": 0.1}
    run_jobs([toy("a", details=group)], store, Recorded())
    job = toy("b", details=group)
    store.working_folder("b", store.key(job))
    store.note_work("b", store.key(job), 100)
    executor = Recorded()
    run_jobs([toy("a", details=group), job], store, executor, Budget(time.time() + 0.1))
    assert executor.paths == ["b"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400)])
def test_budget_is_parsed(text: str, seconds: float) -> None:
    assert Budget.parse(text).left() == pytest.approx(seconds, abs=1)


def test_budget_without_a_unit_is_refused() -> None:
    with pytest.raises(InputError, match="expected a time with its unit"):
        Budget.parse("30")


def test_executor_of_a_configuration() -> None:
    config = Config()
    config.executor.name, config.executor.workers, config.fit.threads = "inline", None, 1
    assert type(make_executor(config)).__name__ == "Inline"
    config.executor.name = "processes"
    assert make_executor(config).workers == available_cores()
    config.fit.threads = 10_000
    assert make_executor(config).workers == 1
    config.executor.name = "proceses"
    with pytest.raises(InputError, match="did you mean 'processes'"):
        make_executor(config)


def test_threads_stand_in_the_settings() -> None:
    assert threads_of(Job("train", "a", {"fit": {"threads": 3}}), 1) == 3
    assert threads_of(Job("prepare", "a", {}), 2) == 2


def test_failure_can_be_sent() -> None:
    failed = pickle.loads(pickle.dumps(JobFailed("a", "why", "trace")))
    assert (failed.path, failed.reason, failed.details) == ("a", "why", "trace")
    assert str(failed) == "job a failed: why\ntrace"


def test_plain_lines_where_there_is_no_terminal(store: ArtifactStore) -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.stage("train")
    jobs = [toy("a"), toy("b"), toy("c")]
    run_jobs(jobs[:2], store, Recorded(), progress=Progress(quiet=True))
    run_jobs(jobs, store, Recorded(), progress=progress)
    run_jobs(jobs, store, Recorded(), progress=progress)
    said = stream.getvalue().splitlines()
    assert said[0] == "train: 2 of 3 already done"
    assert said[1].startswith("train: c: done in ")
    assert said[1].endswith("(3 of 3)")
    assert said[2:] == []
    assert "\x1b" not in stream.getvalue()


def test_lines_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stream = io.StringIO()
    progress = Progress(stream)
    progress.start(Job("train", "a", {}, title="lstm fold0"))
    progress.event(Event("progress", "a", 0.1, "epoch 1/10"))
    now += 10
    progress.event(Event("progress", "a", 0.3, "epoch 3/10"))
    assert stream.getvalue() == ""
    now += 10
    progress.event(Event("progress", "a", 0.5, "epoch 5/10"))
    assert stream.getvalue().splitlines()[0] == "lstm fold0:  50%  20 s, about 25 s left  epoch 5/10"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_on_a_terminal_are_drawn_over_and_leave_nothing() -> None:
    stream = Terminal()
    progress = Progress(stream)
    for path in ("a", "b"):
        progress.start(Job("train", path, {}, title=path))
    progress.event(Event("progress", "a", 0.5, "epoch 5/10"))
    progress.note("a word")
    outcome = Outcome("ran", 1, 1, 1)
    progress.event(Event("done", "a", outcome=outcome))
    progress.event(Event("done", "b", outcome=outcome))
    progress.end()
    assert "█" * 8 + "░" * 8 + "  50%" in stream.getvalue()
    assert shown(stream.getvalue()) == ["a word", "a: done in 0.0 s (1 of 0)", "b: done in 0.0 s (2 of 0)"]


def shown(text: str) -> list[str]:
    """What a terminal shows in the end; knows 'up N lines' and 'clear from here'."""
    screen: list[str] = []
    for part in text.replace("\x1b[J", "").split("\x1b["):
        count, _, rest = part.partition("F") if screen or part[:1].isdigit() else ("0", "", part)
        if count.isdigit() and int(count):
            del screen[-int(count) :]
        screen += rest.splitlines()
    return screen


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.3, "12 s"), (185, "3m05s"), (7620, "2h07m"), (59.7, "1m00s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_own_process_is_not_taken_for_a_worker(store: ArtifactStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Processes(2, 1) as executor:
        run_jobs([toy("a", details={"log": str(log)})], store, executor)
    assert f"in {os.getpid()}" in log.read_text()
