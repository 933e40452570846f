"""Jobs on a Ray cluster: of this machine alone, or of many that executor.address names.

A worker is a Ray actor with the cores and the share of the GPUs of a job; Ray chooses its node, and shows it
its own GPUs only (CUDA_VISIBLE_DEVICES). What jobs say on the way comes back through one more actor, a
mailbox on the command's own node. All nodes see the store: `root` must be on storage that they share, at one
path, and so must the workbench and the files that a relative path of the settings names.

A worker whose process or node is lost is replaced elsewhere, and its job goes on from its checkpoint in
`.work/`. Its locks are POSIX record locks (pipeline/locks.py); what becomes of them depends on the node:

- The process died, the node lives: its kernel has released them at once.
- The node died: the file server holds them until it misses the node. NFS 4 does after its lease (90 s unless
  set otherwise), parallel file systems when they evict the client, NFS 3 only when the node is up again. The
  job's next worker says that it waits, and then goes on.
- The node was only cut off: its workers end when it notices. Until then they hold their locks and the next
  worker waits, so that no two write into one working folder.

A file system whose locks are known to one node only (`nolock`, `local_lock`, most object stores) breaks the
last promise, and lets two commands on different nodes make one artefact. Within one command a job is never
given to two living workers, whatever the locks do.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from data.errors import InputError
from pipeline.devices import VARIABLE, gpu_places, share_environment, visible_gpus
from pipeline.executor import EXECUTORS, Event, JobFailed, asked_workers, available_cores, gpus_of_a_job
from pipeline.executors.pool import Pool, Worker
from pipeline.executors.ray_worker import Mailbox, worker_class
from pipeline.manifest import FILE
from pipeline.perform import Order

if TYPE_CHECKING:
    from pipeline.config import Config

WAIT_SECONDS = 0.2
MOVED_AFTER = 1.0  # seconds without a place after which a job is given to an idle worker
PATIENCE = 5.0  # seconds without a place after which a job says that it waits for one
LOOK_SECONDS = 10.0  # between looks at how many jobs the cluster has room for
CONNECT_SECONDS = 10.0
SEEN_SECONDS = 60.0  # until what another node has written must be seen here (NFS keeps names for so long)
STORE_MIB = 80  # of Ray's object store, the least it takes: only events go through it
LONGEST_FOLDER = 40  # characters: Ray's sockets lie below it, and a socket's path has 107


@EXECUTORS.register("ray")
class Ray(Pool["_Actor"]):
    """Up to `workers` jobs at a time, each on a node that has room.

    workers: None for as many as the cluster serves, which changes with its nodes.
    address: of a running cluster; None starts one in this machine, which ends with the command. Where Ray is
    connected already in this process, that connection is used and left.
    gpus: of each job; None for `gpus_if_any` where the cluster has GPUs, 0 where it has not.
    """

    takes_address: ClassVar[bool] = True

    def __init__(
        self,
        workers: int | None = None,
        threads: int = 1,
        plugins: tuple[str, ...] = (),
        address: str | None = None,
        gpus: float | None = 0.0,
        gpus_if_any: float = 1.0,
    ) -> None:
        super().__init__(workers or 1, threads, plugins)
        self._follows = workers is None
        self._hides_gpus = gpus == 0
        self._address, self._gpus, self._gpus_if_any = address, gpus, gpus_if_any
        self._ray: Any = None  # the module, once connected
        self._owned = False  # whether this executor has connected it
        self._folder: Path | None = None  # of a cluster of our own
        self._mailbox: Any = None
        self._looked = 0.0

    @classmethod
    def of(cls, config: Config) -> Ray:
        here = config.executor.address is None
        workers = asked_workers(config, visible_gpus()) if here else config.executor.workers
        gpus, if_any = config.executor.gpus, gpus_of_a_job(config) or 0.0
        plugins = tuple(str(Path(file).absolute()) for file in config.plugins)
        return cls(workers, config.fit.threads, plugins, config.executor.address, gpus, if_any)

    @classmethod
    def check(cls, config: Config) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError(
                "executor.name: ray is not installed; pip install 'ray>=2.40', or executor=processes"
            )
        super().check(config)

    def free(self) -> int:
        if self._follows and self._ray is not None and time.monotonic() - self._looked > LOOK_SECONDS:
            self._count()
        return super().free()

    def submit(self, order: Order, alone: bool = False) -> None:
        if not (alone and self._better_here(order)):
            self._connect()
            order = replace(order, root=order.root.absolute())
            order.root.mkdir(parents=True, exist_ok=True)
        super().submit(order, alone)

    def wait(self, on_event: Callable[[Event], None]) -> None:
        if not self._here.free():
            self._here.wait(on_event)
            return
        busy = {worker.answer: worker for worker in self._workers if worker.order is not None}
        ready: list[Any] = []
        if busy:
            self._ray.wait([*busy], num_returns=1, timeout=WAIT_SECONDS)
            ready, _ = self._ray.wait([*busy], num_returns=len(busy), timeout=0)
        self._read_mail(on_event)  # what a job said before it ended is there by now
        for answer in ready:
            if busy[answer] in self._workers:  # not stopped by an event before this one
                self._receive(busy[answer], on_event)
        self._give_again()
        self._move_to_idle()
        for worker in self._workers:
            worker.tell_waiting(on_event)

    def close(self) -> None:
        super().close()
        if self._owned:
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._ray = self._mailbox = self._folder = None
        self._owned = False

    def _better_here(self, order: Order) -> bool:
        """Fits go to the cluster that was asked for, which may have what this machine has not."""
        return super()._better_here(order) and (self._address is None or "fit" not in order.job.settings)

    def _connect(self) -> None:
        """To the cluster, if that has not happened yet. Raises InputError if it cannot be."""
        if self._ray is not None:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # its own words are no part of the display
        ray = importlib.import_module("ray")
        logging.getLogger("ray").setLevel(logging.ERROR)
        if not ray.is_initialized():
            self._initialise(ray)
            self._owned = True
        self._ray = ray
        self._count()
        node = ray.get_runtime_context().get_node_id()
        strategy = importlib.import_module("ray.util.scheduling_strategies")
        here = strategy.NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        self._mailbox = ray.remote(Mailbox).options(**options).remote()

    def _initialise(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        if self._address is None:
            folder = Path(tempfile.mkdtemp(prefix="ray-"))
            if len(str(folder)) > LONGEST_FOLDER:
                folder.rmdir()
                folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
            self._folder = folder
            # Ray's workers give way to everything else on the machine (15) unless told otherwise; ours are
            # as nice as those of executor=processes.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(
                address="local",
                num_cpus=max(self.workers * self.threads, available_cores()),
                include_dashboard=False,
                object_store_memory=STORE_MIB * 2**20,
                _temp_dir=str(folder),
                **quiet,
            )
            return
        host, _, port = self._address.rpartition(":")
        try:
            if host and port.isdigit():  # Ray itself goes on asking for minutes
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            ray.init(address=self._address, **quiet)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise InputError(f"executor.address: no cluster at {self._address!r} ({reason})") from error

    def _count(self) -> None:
        """How many jobs the cluster has room for, unless the user has said how many there shall be."""
        self._looked = time.monotonic()
        everything = self._ray.cluster_resources()
        if self._gpus is None:
            self._gpus = self._gpus_if_any if everything.get("GPU", 0) else 0.0
        if self._follows:
            by_gpu = gpu_places(int(everything.get("GPU", 0)), self._gpus)
            by_core = int(everything.get("CPU", 0) // self.threads)
            self.workers = max(1, min(by_gpu, by_core) if self._gpus else by_core)

    def _start(self, place: int, threads: int) -> _Actor:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cores = int(max((node.get("CPU", 0) for node in nodes), default=0))
        held = min(threads, cores) if self._folder is not None else threads  # our own machine may be crowded
        needed = {"CPU": float(held), "GPU": self._gpus or 0.0}
        if not any(all(node.get(name, 0) >= needed[name] for name in needed) for node in nodes):
            raise InputError(
                f"executor.gpus, fit.threads: no node of the cluster has {_words(needed)} for a job; "
                f"the largest ones have {cores} cores and "
                f"{max((node.get('GPU', 0) for node in nodes), default=0):g} GPUs"
            )
        command = None if self._folder is None else os.getpid()
        # Ray shows all GPUs to who has asked for none.
        environment = {VARIABLE: ""} if self._hides_gpus else share_environment(self._gpus)
        about = {"command": command, "environment": environment}
        return _Actor(place, threads, self._ray, self._mailbox, needed, about)

    def _read_mail(self, on_event: Callable[[Event], None]) -> None:
        places = {worker.place: worker for worker in self._workers}
        for place, number, event in self._ray.get(self._mailbox.take.remote()):
            worker = places.get(place)
            if worker is None or worker.number != number:  # of one that was stopped
                continue
            if event.kind == "output":
                worker.say(event.text, on_event)
            else:
                self._hand_on(worker, event, on_event)

    def _move_to_idle(self) -> None:
        """Let no job wait for a place that an idle worker holds, as when nodes have become fewer."""
        idle = [worker for worker in self._workers if worker.order is None]
        for worker in self._busy():
            if not idle or worker.waited() < MOVED_AFTER:
                continue
            other, order = idle.pop(), worker.order
            assert order is not None
            if other.threads == worker.threads:
                self._dismiss(worker)
                other.give(order, self.plugins)
            else:
                self._dismiss(other)  # which gives its cores free

    def _receive(self, worker: _Actor, on_event: Callable[[Event], None]) -> None:
        errors = importlib.import_module("ray.exceptions")
        order = worker.order
        assert order is not None
        try:
            event = self._ray.get(worker.answer)
        except errors.RayTaskError as error:  # not the job's: those come as events
            event = Event("error", order.job.path, error=_broken(order.job.path, error))
        except errors.RayError as error:
            self._lost(worker, f"its worker{worker.where()} was lost", on_event, details=str(error))
            return
        if event.kind == "done":
            event = _seen(order, event, worker.where())
        self._hand_on(worker, event, on_event)


class _Actor(Worker):
    """One worker as the command sees it."""

    numbers = 0

    def __init__(
        self,
        place: int,
        threads: int,
        ray: Any,
        mailbox: Any,
        needed: dict[str, float],
        about: dict[str, Any],
    ) -> None:
        super().__init__(place, threads)
        _Actor.numbers += 1
        self.number = _Actor.numbers  # of all that had this place
        self._ray, self._mailbox, self._needed = ray, mailbox, needed
        kind = ray.remote(worker_class())
        options = {"num_cpus": needed["CPU"], "num_gpus": needed["GPU"], "max_restarts": 0}
        self.actor = kind.options(**options).remote(sys.path, os.getcwd(), **about)
        self._hello = self.actor.node.remote()
        self._since = time.monotonic()
        self._told = False
        self.answer: Any = None

    def give(self, order: Order, plugins: tuple[str, ...]) -> None:
        assert self.order is None
        self.order = order
        self._since = time.monotonic()
        self.answer = self.actor.do.remote(order, plugins, self._mailbox, self.place, self.number)

    def stop(self) -> None:
        with suppress(Exception):  # the cluster may be gone already
            self._ray.kill(self.actor, no_restart=True)

    def waited(self) -> float:
        """Seconds that its job has waited for a node to run on; 0 once it has one (or has died)."""
        return 0.0 if self._ray.wait([self._hello], timeout=0)[0] else time.monotonic() - self._since

    def where(self) -> str:
        """' on NODE' once it is known."""
        with suppress(Exception):
            return f" on {self._ray.get(self._hello, timeout=0)}"
        return ""

    def tell_waiting(self, on_event: Callable[[Event], None]) -> None:
        """Say once that the cluster has no place for it yet."""
        if not self._told and self.order is not None and self.waited() > PATIENCE:
            self._told = True
            title = self.order.job.title or self.order.job.path
            on_event(Event("output", "", text=f"{title}: waits for a place with {_words(self._needed)}"))


def _words(needed: dict[str, float]) -> str:
    """'2 cores and 0.5 GPUs'."""
    gpus = f" and {needed['GPU']:g} GPU{'s' if needed['GPU'] > 1 else ''}" if needed["GPU"] else ""
    return f"{needed['CPU']:g} core{'s' if needed['CPU'] > 1 else ''}{gpus}"


def _broken(path: str, error: Exception) -> JobFailed:
    """What went wrong around a job: a worker that lacks our packages, an answer that cannot be read."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return JobFailed(path, f"its worker: {lines[-1].strip() if lines else type(error).__name__}", str(error))


def _seen(order: Order, event: Event, where: str) -> Event:
    """The event, once what was made on another node is seen here; an InputError if that does not come."""
    file = order.root / order.job.path / FILE
    end = time.monotonic() + SEEN_SECONDS
    while not file.exists():
        if time.monotonic() > end:
            return Event(
                "error", order.job.path, error=InputError(_NOT_SHARED.format(file=file, where=where))
            )
        for folder in [*file.parents][:3]:  # to open a folder makes NFS ask for its names again
            with suppress(OSError):
                os.listdir(folder)
        time.sleep(WAIT_SECONDS)
    return event


_NOT_SHARED = (
    "{file}: was made{where} and is not to be seen here; root=FOLDER must be on storage that all nodes share"
)
