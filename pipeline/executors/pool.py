"""What executors with workers share: who is given a job, and what becomes of it when a worker is lost."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.executor import Event, Executor, JobFailed
from pipeline.executors.inline import Inline
from pipeline.measure import process_peak_memory_mib
from pipeline.perform import Order

ATTEMPTS = 3  # of a job whose worker dies
LAST_LINES = 30


class Worker(ABC):
    """One worker as the executor sees it; does one order at a time."""

    def __init__(self, place: int, threads: int) -> None:
        self.place = place
        self.threads = threads
        self.order: Order | None = None
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)  # what it printed, in case it dies

    @abstractmethod
    def give(self, order: Order, plugins: tuple[str, ...]) -> None:
        """Let it do `order`; a dead one is found out about later."""

    @abstractmethod
    def stop(self) -> None:
        """End it at once: whatever it does can be killed at any moment."""

    def say(self, text: str, on_event: Callable[[Event], None]) -> None:
        """Hand on a line that the worker printed."""
        if text:
            self.last_lines.append(text)
            on_event(Event("output", "", text=text))


W = TypeVar("W", bound=Worker)


class Pool(Executor, Generic[W]):
    """Up to `workers` jobs at a time, each in a worker that lives as long as the command.

    A worker costs seconds to start (it imports torch), so one is started only when a job wants it. One that
    is lost is replaced, and its job goes on from its working folder, in three attempts at most.
    """

    def __init__(self, workers: int, threads: int = 1, plugins: tuple[str, ...] = ()) -> None:
        super().__init__(workers, threads, plugins)
        self._workers: list[W] = []
        self._here = Inline(1, threads, plugins)
        self._again: list[Order] = []  # their worker was lost
        self._died: Counter[str] = Counter()  # by path
        self._memory: dict[int, float] = {}  # peak of each place in the list of workers, MiB

    @abstractmethod
    def _start(self, place: int, threads: int) -> W:
        """A new worker. place: from 0, the smallest that is free."""

    def _better_here(self, order: Order) -> bool:
        """Whether an order beside which nothing else can be done is done in this process."""
        return not self._workers  # one would take longer to start than it could save

    def free(self) -> int:
        if not self._here.free():
            return 0
        return max(0, self.workers - len(self._busy()) - len(self._again))

    def submit(self, order: Order, alone: bool = False) -> None:
        if alone and self._better_here(order):
            self._here.submit(order)
        else:
            self._worker(order.threads).give(order, self.plugins)

    def cancel(self) -> None:
        self._here.cancel()
        self._again.clear()
        for worker in self._busy():
            self._dismiss(worker)

    def close(self) -> None:
        self.cancel()
        for worker in [*self._workers]:
            self._dismiss(worker)

    def peak_memory_mib(self) -> float:
        return process_peak_memory_mib() + sum(self._memory.values())

    def _busy(self) -> list[W]:
        return [worker for worker in self._workers if worker.order is not None]

    def _worker(self, threads: int) -> W:
        """An idle worker with so many threads (libraries read that when they are loaded), or a new one."""
        idle = [worker for worker in self._workers if worker.order is None]
        for worker in idle:
            if worker.threads == threads:
                return worker
        if idle and len(self._workers) >= self.workers:
            self._dismiss(idle[0])
        taken = {worker.place for worker in self._workers}
        place = next(place for place in itertools.count() if place not in taken)
        self._workers.append(self._start(place, threads))
        return self._workers[-1]

    def _hand_on(self, worker: W, event: Event, on_event: Callable[[Event], None]) -> None:
        """What a worker says of its job."""
        if event.kind in ("done", "error"):
            worker.order = None
        if event.outcome is not None:
            known = self._memory.get(worker.place, 0.0)
            self._memory[worker.place] = max(known, event.outcome.process_memory_mib)
        on_event(event)

    def _lost(self, worker: W, reason: str, on_event: Callable[[Event], None], details: str = "") -> None:
        """A worker died: give its job to a fresh one, unless that happened too often."""
        order = worker.order
        self._dismiss(worker)
        if order is None:
            return
        path = order.job.path
        self._died[path] += 1
        if self._died[path] < ATTEMPTS:
            on_event(Event("retry", path, text=reason))
            self._again.append(order)
            self._give_again()
            return
        last_words = "\n".join([*worker.last_lines, *([details] if details else [])])
        on_event(Event("error", path, error=JobFailed(path, f"{reason}, {ATTEMPTS} times", last_words)))

    def _give_again(self) -> None:
        """Orders whose worker was lost, as far as there is room."""
        while self._again and len(self._busy()) < self.workers:
            order = self._again.pop(0)
            self._worker(order.threads).give(order, self.plugins)

    def _dismiss(self, worker: W) -> None:
        self._workers.remove(worker)
        worker.stop()
