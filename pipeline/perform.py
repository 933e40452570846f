"""Doing one job, wherever: the same steps in this process, in a worker, on another machine.

Everything that an earlier job in the same process may have changed (threads, random state, determinism) is
set again before each one, so that a result does not depend on which worker did the job, or after what.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import threadpoolctl

from data.registry import load_plugins
from pipeline.allocator import release_memory
from pipeline.devices import limit_memory
from pipeline.disk import clear_when_full
from pipeline.manifest import Costs
from pipeline.measure import peak_memory_mib, process_peak_memory_mib, reset_peak
from pipeline.stage import STAGES, Job, JobContext
from pipeline.store import ArtifactStore

#: What numerical libraries read when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SECONDS_BETWEEN_NOTES = 5.0


@dataclass(frozen=True)
class Order:
    """A job that is to be done now; plain data."""

    job: Job  # settings and details as JSON gives them (keys.plain), so that they are the same everywhere
    key: str
    input_keys: Mapping[str, str]
    root: Path  # of the store
    threads: int
    deadline: float | None = None  # time.time(): other machines have another time.monotonic()


@dataclass(frozen=True)
class Outcome:
    """What came of an order that succeeded."""

    how: Literal["ran", "reused", "restored"]
    seconds: float  # that making the artefact took, whenever it was
    peak_memory_mib: float  # of the job
    process_memory_mib: float  # peak of the process that did it, so far


def perform(order: Order, progress: Callable[[float, str], None], waiting: Callable[[str], None]) -> Outcome:
    """Do the job unless another run just did; what stands afterwards is a complete artefact.

    Raises what the stage raises (InputError, OutOfTime, ...), and InputError for a full disk or an input
    that another run has replaced.
    """
    store = ArtifactStore(order.root)
    job, path, key = order.job, order.job.path, order.key
    deadline = None if order.deadline is None else time.monotonic() + order.deadline - time.time()
    with clear_when_full(order.root), ExitStack() as held:
        held.enter_context(store.lock(path, deadline=deadline, on_wait=waiting))
        for name in job.inputs:
            held.enter_context(store.lock(name, shared=True, deadline=deadline, on_wait=waiting))
            store.require(name, order.input_keys[name])
        if store.has(path, key):
            return _found(store, path, "reused")
        if store.take_up(path, key):
            return _found(store, path, "restored")
        started = datetime.now(UTC)
        clock = _Clock(store, path, key)
        load_plugins(job.details.get("plugins", ()))
        stage = STAGES.get(job.stage)()
        _begin(job.settings, order.threads, key)

        def report(share: float, text: str = "") -> None:
            clock.tick()
            progress(share, text)

        context = JobContext(
            folder=store.working_folder(path, key),
            inputs={name: store.root / name for name in job.inputs},
            root=store.root,
            progress=report,
            deadline=deadline,
        )
        stage.run(job, context)
        costs = Costs(_text(started), _text(datetime.now(UTC)), clock.seconds(), peak_memory_mib())
        store.commit(job, key, dict(order.input_keys), costs)
        return Outcome("ran", costs.seconds, costs.peak_memory_mib, process_peak_memory_mib())


def threads_of(job: Job, default: int) -> int:
    """Threads that the job's settings ask for (settings.fit.threads), else `default`."""
    fit = job.settings.get("fit")
    return int(fit["threads"]) if isinstance(fit, Mapping) and "threads" in fit else default


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that give numerical libraries so many threads when they are loaded."""
    return {name: str(threads) for name in THREAD_VARIABLES}


class _Clock:
    """Seconds of work on the artefact, attempts that were killed included."""

    def __init__(self, store: ArtifactStore, path: str, key: str) -> None:
        self._store, self._path, self._key = store, path, key
        self._before = store.work_done(path, key)
        self._started = self._noted = time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._started

    def tick(self) -> None:
        if time.monotonic() - self._noted > SECONDS_BETWEEN_NOTES:
            self._noted = time.monotonic()
            self._store.note_work(self._path, self._key, self.seconds())


def _begin(settings: Mapping[str, Any], threads: int, key: str) -> None:
    """Threads, random state and determinism as they are at the beginning of every job."""
    fit = settings.get("fit")
    fits = isinstance(fit, Mapping)
    os.environ.update(thread_environment(threads))  # for what is not loaded yet
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on GPUs
    if fits:
        importlib.import_module("torch")  # whether it is loaded must not depend on the jobs before
    threadpoolctl.threadpool_limits(threads)  # for what is
    seed = int(key[:8], 16)  # stages seed what they draw; this is for one that forgot to
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        deterministic = bool(fits and fit.get("deterministic", False))  # type: ignore[union-attr]
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        if fits:
            limit_memory(torch)
    release_memory()
    reset_peak()


def _found(store: ArtifactStore, path: str, how: Literal["reused", "restored"]) -> Outcome:
    manifest = store.manifest(path)
    assert manifest is not None
    return Outcome(how, manifest.seconds, manifest.peak_memory_mib, process_peak_memory_mib())


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
