"""Which job runs next: skips what is done, minds who needs whom and what the budget leaves.

Jobs start in the order given, each as soon as its inputs are there. Under a budget one is started only if,
by what finished jobs like it took (same stage and group), all that are left of its group fit into what is
left of the time; it is given the deadline and may raise OutOfTime, which is noted and fatal to nobody.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from data.errors import InputError, OutOfTime
from pipeline.budget import Budget
from pipeline.disk import clear_when_full
from pipeline.executor import Event, Executor, JobFailed
from pipeline.job_source import JobSource
from pipeline.keys import plain
from pipeline.perform import Order, Outcome, threads_of
from pipeline.progress import Progress, duration
from pipeline.stage import Job
from pipeline.store import ArtifactStore

GIVEN_UP = "out of time"
IDLE_SECONDS = 0.2  # until a source that had nothing is asked again


@dataclass
class Summary:
    """What became of a list of jobs; paths in the order in which they ended."""

    total: int = 0
    ran: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)  # were done already, here or by a run at the same time
    restored: list[str] = field(default_factory=list)  # lay aside and were taken up again
    out_of_time: dict[str, str] = field(default_factory=dict)  # path: why
    failed: dict[str, JobFailed] = field(default_factory=dict)
    without_input: dict[str, str] = field(default_factory=dict)  # path: "needs " the input that failed
    seconds: float = 0.0
    peak_memory_mib: float = 0.0  # of the largest job that ran

    @property
    def done(self) -> list[str]:
        """Paths of all artefacts that are there now."""
        return [*self.reused, *self.restored, *self.ran]

    def line(self) -> str:
        """'3 of 8 ran, 4 already done, 1 taken up again, 1m05s'."""
        parts = [
            f"{len(self.ran)} of {self.total} ran" if self.ran else "",
            f"{len(self.reused)} already done" if self.reused else "",
            f"{len(self.restored)} taken up again" if self.restored else "",
            f"{len(self.out_of_time)} {GIVEN_UP}" if self.out_of_time else "",
            f"{len(self.failed)} failed" if self.failed else "",
            f"{len(self.without_input)} without their inputs" if self.without_input else "",
        ]
        return (
            ", ".join([part for part in parts if part] or ["nothing to do"]) + f", {duration(self.seconds)}"
        )


def run_jobs(
    jobs: Sequence[Job],
    store: ArtifactStore,
    executor: Executor,
    budget: Budget | None = None,
    progress: Progress | None = None,
    keep_going: bool = False,
    source: JobSource | None = None,
) -> Summary:
    """Make every job's artefact, unless it is there; then what `source` asks for, until it is over.

    Raises the first InputError at once, stopping what runs. A job that fails otherwise ends only itself and
    those that need it; when all others have ended, its JobFailed is raised, or with `keep_going` only noted
    in the summary. After any of these the same call goes on from what was finished.
    """
    schedule = _Schedule(jobs, store, executor, budget, progress or Progress(quiet=True), source)
    with clear_when_full(store.root):
        try:
            summary = schedule.run()
        except BaseException:
            executor.cancel()
            raise
        finally:
            schedule.progress.end()
            if source is not None:
                source.close()
    if summary.failed and not keep_going:
        raise next(iter(summary.failed.values()))
    return summary


class _Schedule:
    """One call of run_jobs."""

    def __init__(
        self,
        jobs: Sequence[Job],
        store: ArtifactStore,
        executor: Executor,
        budget: Budget | None,
        progress: Progress,
        source: JobSource | None,
    ) -> None:
        self.store, self.executor, self.budget, self.progress = store, executor, budget, progress
        self.source = source
        self.jobs = {job.path: job for job in jobs}
        assert len(self.jobs) == len(jobs), "two jobs of one path"
        seen: set[str] = set()
        for job in jobs:
            late = [path for path in job.inputs if path in self.jobs and path not in seen]
            assert not late, f"{job.path} comes before its input {late[0]}"
            seen.add(job.path)
        self.waiting = list(jobs)
        self.running: dict[str, Order] = {}
        self.lost: set[str] = set()  # what this list will not make, failures that were expected among it
        self.summary = Summary(total=len(jobs))
        self.seconds: dict[tuple[str, str], list[float]] = {}  # of finished jobs by stage and group

    def run(self) -> Summary:
        started = time.monotonic()
        self._reuse()
        self.progress.begin(self.jobs, len(self.summary.reused))
        while True:
            self._start()
            if self.running:
                self.executor.wait(self._on_event)
            elif self.source is None or self.source.over():
                break
            else:
                time.sleep(IDLE_SECONDS)
            self.progress.tick()
        assert not self.waiting
        self.summary.seconds = time.monotonic() - started
        return self.summary

    def _reuse(self) -> None:
        """Take what is done; a job whose input must be made again first is not, whatever lies there."""
        for job in [*self.waiting]:
            damage = self.store.damage(job.path)
            if damage:
                self.progress.note(f"{self.store.root / job.path} is damaged ({damage}); it is made again")
            elif self._unfinished(job) == [] and self.store.state(job) == "done":
                self._finish_found(job, self.store.key(job), self.summary.reused)

    def _start(self) -> None:
        """Give the executor as many jobs as it takes."""
        self._start_those([*self.waiting])
        while self.source is not None and self.executor.free():
            further = self.source.more(len(self.running))
            if not further:
                return
            self._add(further)
            self._start_those(further)

    def _start_those(self, jobs: list[Job]) -> None:
        """Of jobs that wait, as many as there is room for; those that will never have their inputs go."""
        for job in jobs:
            if not self.executor.free():
                return
            lost = next((path for path in job.inputs if path in self.lost), None)
            if lost is not None:
                self._leave_out(job, lost)
            elif not self._unfinished(job):
                self._start_one(job)

    def _leave_out(self, job: Job, lost: str) -> None:
        """End a job that is not begun, as its input `lost` will not be made."""
        self.waiting.remove(job)
        reason = f"needs {lost}"
        if lost in self.summary.out_of_time:
            self._give_up(job, reason)
            return
        self.lost.add(job.path)
        self.summary.without_input[job.path] = reason
        if self.source is not None:  # it may be waiting for this one too
            self.source.failed(job, JobFailed(job.path, reason))

    def _give_up(self, job: Job, reason: str) -> None:
        """Note that the time is too short for a job."""
        self.lost.add(job.path)
        self.summary.out_of_time[job.path] = reason
        if self.source is not None:
            self.source.out_of_time(job, reason)

    def _add(self, further: list[Job]) -> None:
        """Jobs of the source; one of a path that was made, or lost, before is looked up again."""
        for job in further:
            assert job.path not in self.running, f"{job.path} is running"
            for noted in (self.summary.ran, self.summary.reused, self.summary.restored):
                if job.path in noted:
                    noted.remove(job.path)
            self.lost.discard(job.path)
            self.summary.out_of_time.pop(job.path, None)
            self.summary.without_input.pop(job.path, None)
        self.waiting += further
        self.jobs |= {job.path: job for job in further}
        self.summary.total = len(self.jobs)
        self.progress.more(len(self.jobs))

    def _start_one(self, job: Job) -> None:
        input_keys = self.store.input_keys(job)
        key = self.store.key(job)
        if self._found(job, key):
            return
        self.waiting.remove(job)
        reason = self._too_long(job, key)
        if reason:
            self._give_up(job, reason)
            if self.source is None:
                self.progress.note(f"{job.title or job.path}: not started, {reason}")
            return
        threads = threads_of(job, self.executor.threads)
        deadline = None if self.budget is None else self.budget.end
        sent = replace(job, settings=plain(job.settings), details=plain(job.details, "details"))
        order = Order(sent, key, input_keys, self.store.root, threads, deadline)
        self.running[job.path] = order
        self.progress.start(job)
        others = [other for other in self.waiting if not self._unfinished(other)]
        alone = self.source is None or self.executor.workers == 1
        self.executor.submit(order, alone=alone and len(self.running) == 1 and not others)

    def _found(self, job: Job, key: str) -> bool:
        """Whether the artefact is there, or lies aside: then no worker need be started for it."""
        if self.store.has(job.path, key):
            self._finish_found(job, key, self.summary.reused)
            return True
        if self.store.lies_aside(job.path, key):
            with self.store.lock_if_free(job.path) as held:
                if held and self.store.take_up(job.path, key):
                    self._finish_found(job, key, self.summary.restored)
                    self.progress.note(f"{job.title or job.path}: taken up again")
                    return True
        return False

    def _finish_found(self, job: Job, key: str, noted: list[str]) -> None:
        manifest = self.store.manifest(job.path)
        assert manifest is not None
        self.waiting.remove(job)
        self._finish(job, key, noted, manifest.seconds)
        if self.source is not None:
            self.progress.more(len(self.jobs), already=1)
            self.source.done(job, 0.0)

    def _finish(self, job: Job, key: str, noted: list[str], seconds: float) -> None:
        noted.append(job.path)
        self.store.settle(job.path, key)
        group = job.details.get("group")
        if group is not None:
            self.seconds.setdefault((job.stage, str(group)), []).append(seconds)

    def _on_event(self, event: Event) -> None:
        if self._expected(event):
            self.progress.forget(event.path)  # the source says what it means
        else:
            self.progress.event(event)
        if event.kind not in ("done", "error"):
            return
        order = self.running.pop(event.path)
        if event.outcome is not None:
            self._on_done(order, event.outcome)
        elif isinstance(event.error, OutOfTime):
            self._give_up(order.job, str(event.error) or GIVEN_UP)
        elif isinstance(event.error, InputError):
            raise event.error
        else:
            assert isinstance(event.error, JobFailed)
            self.lost.add(event.path)
            if self.source is not None:
                self.source.failed(order.job, event.error)
            if not self._expected(event):
                self.summary.failed[event.path] = event.error

    def _expected(self, event: Event) -> bool:
        return (
            self.source is not None
            and isinstance(event.error, JobFailed)
            and self.source.expects(event.error)
        )

    def _on_done(self, order: Order, outcome: Outcome) -> None:
        noted = {"ran": self.summary.ran, "reused": self.summary.reused, "restored": self.summary.restored}
        self._finish(order.job, order.key, noted[outcome.how], outcome.seconds)
        if outcome.how == "ran":
            self.summary.peak_memory_mib = max(self.summary.peak_memory_mib, outcome.peak_memory_mib)
        if self.source is not None:
            self.source.done(order.job, outcome.seconds if outcome.how == "ran" else 0.0)

    def _unfinished(self, job: Job) -> list[str]:
        """Inputs of the job that this list makes and has not made yet."""
        open_paths = {other.path for other in self.waiting} | set(self.running)
        return [path for path in job.inputs if path in open_paths]

    def _too_long(self, job: Job, key: str) -> str:
        """Why the job cannot be finished within the budget, '' if it can or nothing is known."""
        if self.budget is None:
            return ""
        left = self.budget.left()
        if left <= 0:
            return "the budget is spent"
        group = str(job.details.get("group"))
        known = self.seconds.get((job.stage, group))
        if not known:
            return ""
        each = sum(known) / len(known)
        # A member of which not every fit is there counts for nothing: either the rest of them fits, or none.
        alike = [other for other in self.waiting if str(other.details.get("group")) == group]
        rounds = -(-(len(alike) + 1) // max(1, self.executor.workers))
        needed = rounds * each - self.store.work_done(job.path, key)
        if needed <= left:
            return ""
        rest = f"the {len(alike) + 1} that are left" if alike else "it"
        return f"{rest} would take about {duration(needed)} and {duration(left)} are left"
