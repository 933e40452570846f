"""Where jobs are done: one small interface, one file an executor in pipeline/executors/.

An executor is given one order after another and says what becomes of them; which job comes next is not its
affair (pipeline/schedule.py). It lives as long as the command, so that workers serve several stages.
"""

from __future__ import annotations

import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.errors import InputError, OutOfTime
from data.registry import Registry
from pipeline.perform import Order, Outcome

if TYPE_CHECKING:
    from pipeline.config import Config

EXECUTORS: Registry[type[Executor]] = Registry("executor", "pipeline.executors")


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; `path` is the job's, '' for text that a worker printed."""

    kind: Literal["progress", "waiting", "retry", "output", "done", "error"]
    path: str
    share: float = 0.0  # progress: 0..1
    text: str = ""
    outcome: Outcome | None = None  # done
    error: Exception | None = None  # error: InputError, OutOfTime or JobFailed


class JobFailed(RuntimeError):
    """A job raised something that is not the user's to mend; the message holds its traceback."""

    def __init__(self, path: str, reason: str, details: str = "") -> None:
        super().__init__(f"job {path} failed: {reason}" + (f"\n{details.rstrip()}" if details else ""))
        self.path = path
        self.reason = reason  # one line
        self.details = details  # the traceback, or a dead worker's last words

    def __reduce__(self) -> tuple[Any, ...]:
        return JobFailed, (self.path, self.reason, self.details)


class Executor(ABC):
    """Does jobs. Used as a context manager, which stops what it started."""

    def __init__(self, workers: int, threads: int, plugins: tuple[str, ...] = ()) -> None:
        self.workers = workers  # jobs at the same time
        self.threads = threads  # of jobs whose settings do not say
        self.plugins = plugins

    @abstractmethod
    def free(self) -> int:
        """How many more orders it takes now."""

    @abstractmethod
    def submit(self, order: Order, alone: bool = False) -> None:
        """Take an order; `alone`: nothing else could be done at the same time."""

    @abstractmethod
    def wait(self, on_event: Callable[[Event], None]) -> None:
        """Call `on_event` with what has happened; returns after a while even if nothing has.

        Every order ends in one event `done` or `error`.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Stop all running jobs at once; their working folders stay."""

    def close(self) -> None:
        """Stop everything."""
        self.cancel()

    def peak_memory_mib(self) -> float:
        """Upper bound of what this command and its workers held in memory at one time, in MiB."""
        from pipeline.measure import process_peak_memory_mib

        return process_peak_memory_mib()

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def make_executor(config: Config) -> Executor:
    """The executor that the configuration asks for; starts nothing. InputError for an unknown name."""
    chosen = EXECUTORS.get(config.executor.name, "executor.name")
    workers = config.executor.workers or default_workers(config.fit.threads, config.fit.device)
    return chosen(workers, config.fit.threads, tuple(config.plugins))


def default_workers(threads: int, device: str) -> int:
    """As many as the cores serve; one for each GPU where fits run on GPUs.

    GPUs are counted by the driver's files, since asking torch would load it into this process.
    """
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if device != "cpu" else 0
    return gpus or max(1, available_cores() // threads)


def available_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def known_error(path: str, error: Exception) -> Exception:
    """`error` as every executor hands it on: InputError and OutOfTime as they are, the rest as JobFailed."""
    if isinstance(error, InputError | OutOfTime):
        return error
    reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    failed = JobFailed(path, reason.rstrip(": "), "".join(traceback.format_exception(error)))
    failed.__cause__ = error
    return failed
