"""Several jobs at a time, each in a worker process of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import IO, TYPE_CHECKING, Any

from pipeline.devices import VARIABLE, gpus_of, share_environment, visible_gpus
from pipeline.executor import EXECUTORS, Event, asked_workers, gpus_of_a_job
from pipeline.executors.pool import Pool, Worker
from pipeline.perform import Order, thread_environment

if TYPE_CHECKING:
    from pipeline.config import Config

WAIT_SECONDS = 0.5

#: sys.path first, so that the worker finds the packages where we found them.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pipeline.executors.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


@EXECUTORS.register("processes")
class Processes(Pool["_Process"]):
    """Up to `workers` jobs at a time, each in a process of its own.

    gpus: names of this machine's GPUs, dealt out by the workers' places; each: GPUs of a job. Without either
    a worker sees what this process sees.
    """

    def __init__(
        self,
        workers: int,
        threads: int = 1,
        plugins: tuple[str, ...] = (),
        gpus: Sequence[str] = (),
        each: float | None = None,
    ) -> None:
        super().__init__(workers, threads, plugins)
        self._gpus, self._each = gpus, each

    @classmethod
    def of(cls, config: Config) -> Processes:
        gpus = visible_gpus()
        workers, each = asked_workers(config, gpus), gpus_of_a_job(config)
        return cls(workers, config.fit.threads, tuple(config.plugins), gpus, each)

    def wait(self, on_event: Callable[[Event], None]) -> None:
        if not self._here.free():
            self._here.wait(on_event)
            return
        sources: dict[Any, _Process] = {}
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

    def _start(self, place: int, threads: int) -> _Process:
        if self._each is None or (self._each and not self._gpus):
            return _Process(place, threads, {})
        shown = {VARIABLE: ",".join(gpus_of(place, self._gpus, self._each))}
        return _Process(place, threads, shown | share_environment(self._each))

    def _receive(self, worker: _Process, on_event: Callable[[Event], None]) -> None:
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, on_event)
            return
        if event.kind in ("done", "error"):
            worker.read_output(on_event, everything=True)
        self._hand_on(worker, event, on_event)

    def _bury(self, worker: _Process, on_event: Callable[[Event], None]) -> None:
        code = worker.process.wait()
        worker.read_output(on_event, everything=True)
        self._lost(worker, f"its worker {_ended(code)}", on_event)


class _Process(Worker):
    """One worker process as its parent sees it. environment: what it has beside ours."""

    def __init__(self, place: int, threads: int, environment: dict[str, str]) -> None:
        super().__init__(place, threads)
        self._partial = b""
        self.pipe, theirs = Pipe()
        arguments = [json.dumps(sys.path), str(theirs.fileno()), str(os.getpid())]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            env={**os.environ, **thread_environment(threads), "PYTHONUNBUFFERED": "1", **environment},
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
        """Hand on what the worker printed, line by line; `everything`: a last line without an end too."""
        with suppress(BlockingIOError):
            while content := os.read(self.output.fileno(), 65536):
                *lines, self._partial = (self._partial + content).split(b"\n")
                for line in lines:
                    self.say(line.decode("utf-8", "replace").rstrip(), on_event)
        if everything and self._partial:
            self.say(self._partial.decode("utf-8", "replace").rstrip(), on_event)
            self._partial = b""

    def stop(self) -> None:
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
