"""One fit by several processes, one a device (distributed data parallel): rank 0 is this one.

It starts the others: fresh interpreters that are sent the fit through a pipe; Lightning's own launchers would
run the whole command again, or pickle what is bound to this process. Rank 0 reports, minds the deadline and
writes; the others compute, and live no longer than it does. A rank that dies takes the fit with it, at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch
import torch.distributed as distributed
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from data.registry import load_plugins, loaded_plugins
from models.members.base import FitTask

#: A rank that has not come so far as the others after this long is given up: the fit fails.
STEP_TIMEOUT = timedelta(minutes=10)
START_TIMEOUT = 300.0  # seconds for the other ranks to import, and to read the fit
END_TIMEOUT = 60.0  # seconds to end after rank 0 has
DEATH_SECONDS = 5.0  # a rank that dies breaks its connections; so long later it is known why
LOOK_EVERY = 0.02
LAST_CHARACTERS = 2000

#: sys.path first, so that a rank finds the packages where we found them.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from models.members.ranks import main; main(int(sys.argv[2]))"
)


class RankFailed(RuntimeError):
    """A process of a fit died, or fell silent."""


@dataclass(frozen=True)
class Rank:
    """A process's place in a fit; `watch` raises when another one has failed."""

    number: int
    devices: list[torch.device]
    watch: Callable[[], None] = lambda: None

    @property
    def device(self) -> torch.device:
        """Its own."""
        return self.devices[self.number]

    def strategy(self) -> DDPStrategy:
        """Lightning's, of processes that are there already and know one another."""
        # Parameters that a step does not use keep no gradient, as with one process.
        return DDPStrategy(
            cluster_environment=_Environment(self.number, len(self.devices)),
            process_group_backend=_backend(self.devices[0]),
            find_unused_parameters=True,
        )


@dataclass(frozen=True)
class _Work:
    """What a rank is sent, after the plugins."""

    network: str
    config: Any
    task: FitTask
    rank: int
    devices: list[torch.device]
    port: int
    resumed: bool


class Ranks:
    """The other processes of a fit, while it goes on (a context manager)."""

    def __init__(
        self, network: str, config: Any, task: FitTask, devices: list[torch.device], resumed: bool
    ) -> None:
        """resumed: the fit goes on from the checkpoint in its folder."""
        self._network, self._config, self._resumed = network, config, resumed
        self._task = replace(task, progress=_silent, deadline=None, epoch_ended=None)
        self._devices = devices
        self._others: list[_Process] = []
        self._ended = threading.Event()

    def __enter__(self) -> Rank:
        count = len(self._devices)
        try:
            store = distributed.TCPStore("127.0.0.1", 0, count, is_master=True, wait_for_workers=False)
            self._others = [_Process(number) for number in range(1, count)]
            for other in self._others:
                work = _Work(
                    self._network,
                    self._config,
                    self._task,
                    other.number,
                    self._devices,
                    store.port,
                    self._resumed,
                )
                other.send(work)
            self._wait_until_ready()
            _join(store, 0, self._devices)
        except BaseException:
            self._stop()
            raise
        threading.Thread(target=self._release_when_one_dies, daemon=True).start()
        return Rank(0, self._devices, self.check)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._wait_for_the_end()
            elif _is_consequence(error):
                # A broken connection says little; why the other one is gone says all.
                until = time.monotonic() + DEATH_SECONDS
                while time.monotonic() < until:
                    for failure in self._failures():
                        if not _is_consequence(failure):
                            raise failure from error
                    time.sleep(0.05)
        finally:
            self._stop()

    def check(self) -> None:
        """Raise what another rank raised, or RankFailed if one is dead."""
        failures = self._failures()
        if failures:
            raise failures[0]

    def _failures(self) -> list[BaseException]:
        """What ended other ranks; what only says that a connection broke stands last."""
        found = [failure for failure in (other.failure() for other in self._others) if failure is not None]
        return sorted(found, key=_is_consequence)

    def _wait_until_ready(self) -> None:
        self._wait_for(lambda: all(other.ready() for other in self._others), START_TIMEOUT, "start")

    def _wait_for_the_end(self) -> None:
        ended = lambda: all(other.process.poll() is not None for other in self._others)  # noqa: E731
        self._wait_for(ended, END_TIMEOUT, "end")
        self.check()

    def _wait_for(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        # Looks are counted, not seconds: those go on while the machine, or all of us, are suspended.
        for _ in range(round(seconds / LOOK_EVERY)):
            if done():
                return
            self.check()
            time.sleep(LOOK_EVERY)
        raise RankFailed(f"a process of the fit did not {what} within {seconds:g} s")

    def _release_when_one_dies(self) -> None:
        """NCCL's kernels would wait for a dead rank until the timeout, and we for them."""
        while not self._ended.wait(0.2):
            if any(other.process.poll() for other in self._others):
                if self._devices[0].type == "cuda" and not self._ended.wait(DEATH_SECONDS):
                    distributed.distributed_c10d._abort_process_group()
                return

    def _stop(self) -> None:
        self._ended.set()
        for other in self._others:
            other.stop()
        if distributed.is_initialized():
            distributed.destroy_process_group()


class _Process:
    """Another rank as rank 0 sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._pipe, theirs = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed by `stop`
        self._ready = False
        self._error: BaseException | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()  # so that the end of either process is the end of the pipe

    def send(self, work: _Work) -> None:
        try:
            self._pipe.send(loaded_plugins())
            self._pipe.send(work)
        except (BrokenPipeError, ConnectionResetError):
            self.process.wait()  # `failure` says why

    def ready(self) -> bool:
        self._read()
        return self._ready

    def failure(self) -> BaseException | None:
        """What it raised; RankFailed if it is dead without a word."""
        code = self.process.poll()
        self._read()
        if self._error is None and code:
            self._output.seek(0)
            said = self._output.read().decode("utf-8", "replace")[-LAST_CHARACTERS:].strip()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._error = RankFailed(f"rank {self.number} of the fit {how}" + (f"\n{said}" if said else ""))
        return self._error

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                said = self._pipe.recv()
                if said is None:
                    self._ready = True
                else:
                    self._error = said
        except (EOFError, OSError):
            return
        except Exception:  # an error's own constructor may refuse what it was pickled with
            return  # it is dead then, and what it printed is told

    def stop(self) -> None:
        """At once: nothing that it has is needed."""
        self.process.kill()
        self.process.wait()
        self._pipe.close()
        self._output.close()


class _Environment(LightningEnvironment):
    """Tells Lightning of processes that are there already."""

    def __init__(self, rank: int, count: int) -> None:
        super().__init__()
        self._rank = rank
        self.set_world_size(count)
        self.set_global_rank(rank)

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        pass


def main(descriptor: int) -> None:
    """What a rank does; `descriptor` is its end of the pipe."""
    pipe = Connection(descriptor)
    load_plugins(pipe.recv())
    work: _Work = pipe.recv()
    threading.Thread(target=_die_with, args=(pipe,), daemon=True).start()
    pipe.send(None)
    code = 0
    try:
        from models.members.neural import NeuralMember

        store = distributed.TCPStore("127.0.0.1", work.port, len(work.devices), is_master=False)
        _join(store, work.rank, work.devices)
        rank = Rank(work.rank, work.devices)
        NeuralMember(work.network, work.config).train(work.task, rank, work.resumed)
        distributed.destroy_process_group()
    except Exception as error:
        code = 1
        traceback.print_exc()
        try:
            pipe.send(error)
        except Exception:  # of an error that cannot be pickled
            pipe.send(RankFailed(f"{type(error).__name__}: {error}"))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a process group that waits for a dead rank would hold the ordinary end up


def _die_with(pipe: Connection) -> None:
    """Nothing more is sent: the end of the pipe is the end of rank 0."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def _join(store: distributed.Store, rank: int, devices: list[torch.device]) -> None:
    own = devices[rank]
    if own.type == "cuda":
        torch.cuda.set_device(own)
    distributed.init_process_group(
        _backend(own),
        store=store,
        rank=rank,
        world_size=len(devices),
        timeout=STEP_TIMEOUT,
        device_id=own if own.type == "cuda" else None,
    )


def _backend(device: torch.device) -> str:
    return "nccl" if device.type == "cuda" else "gloo"


def _is_consequence(error: BaseException) -> bool:
    """Whether it may say no more than that a connection to another rank broke."""
    return type(error) is RuntimeError or isinstance(error, distributed.DistError)


def _silent(share: float, text: str) -> None:
    """Rank 0 reports for all."""
