"""Several jobs at a time, each in a worker process of this machine.

A worker costs seconds to start (it imports torch), so one is started only when a job wants it, and serves
until the command ends. One that is killed is replaced, and its job goes on from its working folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import IO, Any

from pipeline.executor import EXECUTORS, Event, Executor, JobFailed
from pipeline.executors.inline import Inline
from pipeline.measure import process_peak_memory_mib
from pipeline.perform import Order, thread_environment

ATTEMPTS = 3  # of a job whose worker dies
WAIT_SECONDS = 0.5
LAST_LINES = 30

#: sys.path first, so that the worker finds the packages where we found them.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pipeline.executors.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


@EXECUTORS.register("processes")
class Processes(Executor):
    """Up to `workers` jobs at a time."""

    def __init__(self, workers: int, threads: int = 1, plugins: tuple[str, ...] = ()) -> None:
        super().__init__(workers, threads, plugins)
        self._workers: list[_Worker] = []
        self._here = Inline(1, threads, plugins)
        self._died: Counter[str] = Counter()  # by path
        self._memory: dict[int, float] = {}  # peak of each place in the list of workers, MiB

    def free(self) -> int:
        if not self._here.free():
            return 0
        return self.workers - sum(worker.order is not None for worker in self._workers)

    def submit(self, order: Order, alone: bool = False) -> None:
        if alone and not self._workers:
            self._here.submit(order)  # a worker would take longer to start than it could save
        else:
            self._worker(order.threads).give(order, self.plugins)

    def wait(self, on_event: Callable[[Event], None]) -> None:
        if not self._here.free():
            self._here.wait(on_event)
            return
        sources: dict[Any, _Worker] = {}
        for worker in self._workers:
            sources |= {worker.pipe: worker, worker.output: worker}
        for source in wait(list(sources), WAIT_SECONDS):
            worker = sources[source]
            if worker not in self._workers:  # stopped by an event before this one
                continue
            if source is worker.output:
                worker.read_output(on_event)
            else:
                self._receive(worker, on_event)
        for worker in [*self._workers]:  # a process that the dead one had forked may hold the pipe open
            if worker.process.poll() is not None and not worker.pipe.poll():
                self._bury(worker, on_event)

    def cancel(self) -> None:
        self._here.cancel()
        for worker in [*self._workers]:
            if worker.order is not None:
                self._dismiss(worker)

    def close(self) -> None:
        self._here.cancel()
        for worker in [*self._workers]:
            self._dismiss(worker)

    def peak_memory_mib(self) -> float:
        return process_peak_memory_mib() + sum(self._memory.values())

    def _worker(self, threads: int) -> _Worker:
        """An idle worker with so many threads (libraries read that when they are loaded), or a new one."""
        idle = [worker for worker in self._workers if worker.order is None]
        for worker in idle:
            if worker.threads == threads:
                return worker
        if len(self._workers) >= self.workers:
            self._dismiss(idle[0])
        taken = {worker.place for worker in self._workers}
        place = next(place for place in range(self.workers) if place not in taken)
        self._workers.append(_Worker(place, threads))
        return self._workers[-1]

    def _receive(self, worker: _Worker, on_event: Callable[[Event], None]) -> None:
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, on_event)
            return
        if event.kind in ("done", "error"):
            worker.read_output(on_event, everything=True)
            worker.order = None
        if event.outcome is not None:
            known = self._memory.get(worker.place, 0.0)
            self._memory[worker.place] = max(known, event.outcome.process_memory_mib)
        on_event(event)

    def _bury(self, worker: _Worker, on_event: Callable[[Event], None]) -> None:
        """A worker died: give its job to a fresh one, unless that happened too often."""
        order = worker.order
        code = worker.process.wait()
        worker.read_output(on_event, everything=True)
        self._dismiss(worker)
        if order is None:
            return
        path = order.job.path
        self._died[path] += 1
        reason = f"its worker {_ended(code)}"
        if self._died[path] < ATTEMPTS:
            on_event(Event("retry", path, text=reason))
            self._worker(order.threads).give(order, self.plugins)
            return
        failed = JobFailed(path, f"{reason}, {ATTEMPTS} times", "\n".join(worker.last_lines))
        on_event(Event("error", path, error=failed))

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.stop()


class _Worker:
    """One worker process as its parent sees it."""

    def __init__(self, place: int, threads: int) -> None:
        self.place = place
        self.threads = threads
        self.order: Order | None = None
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._partial = b""
        self.pipe, theirs = Pipe()
        arguments = [json.dumps(sys.path), str(theirs.fileno()), str(os.getpid())]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            env={**os.environ, **thread_environment(threads), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()  # so that the worker's death is the end of the pipe
        assert self.process.stdout is not None
        self.output: IO[bytes] = self.process.stdout
        os.set_blocking(self.output.fileno(), False)

    def give(self, order: Order, plugins: tuple[str, ...]) -> None:
        assert self.order is None
        self.order = order
        with suppress(BrokenPipeError, ConnectionResetError):  # if it is dead, `wait` finds out
            self.pipe.send((order, plugins))

    def read_output(self, on_event: Callable[[Event], None], everything: bool = False) -> None:
        """Hand on what the worker printed, line by line; keep the last ones in case it dies.

        `everything`: nothing more belongs to a last line that has no end.
        """
        with suppress(BlockingIOError):
            while content := os.read(self.output.fileno(), 65536):
                *lines, self._partial = (self._partial + content).split(b"\n")
                for line in lines:
                    self._say(line, on_event)
        if everything and self._partial:
            self._say(self._partial, on_event)
            self._partial = b""

    def _say(self, line: bytes, on_event: Callable[[Event], None]) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self.last_lines.append(text)
            on_event(Event("output", "", text=text))

    def stop(self) -> None:
        """At once: whatever it does can be killed at any moment."""
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        self.output.close()


def _ended(code: int) -> str:
    """'was killed by signal 9 (SIGKILL; perhaps out of memory)' or 'ended with exit code 1'."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = "; perhaps the machine ran out of memory" if -code == signal.SIGKILL else ""
    return f"was killed by signal {-code} ({name}{hint})"
