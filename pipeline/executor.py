"""Where jobs are done: one small interface, one file an executor in pipeline/executors/.

An executor is given one order after another and says what becomes of them; which job comes next is not its
affair (pipeline/schedule.py). It lives as long as the command, so that workers serve several stages.
"""

from __future__ import annotations

import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from data.errors import InputError, OutOfTime
from data.registry import Registry
from pipeline.devices import gpu_places, visible_gpus
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

    #: Whether it can work on other machines, which executor.address names.
    takes_address: ClassVar[bool] = False

    def __init__(self, workers: int, threads: int, plugins: tuple[str, ...] = ()) -> None:
        self.workers = workers  # jobs at the same time
        self.threads = threads  # of jobs whose settings do not say
        self.plugins = plugins

    @classmethod
    def of(cls, config: Config) -> Executor:
        """The one that the configuration asks for; starts nothing."""
        return cls(asked_workers(config, visible_gpus()), config.fit.threads, tuple(config.plugins))

    @classmethod
    def check(cls, config: Config) -> None:
        """InputError for what it cannot do, or lacks; asked before anything heavy is imported."""
        if config.executor.address is not None and not cls.takes_address:
            raise InputError(
                f"executor.address: found {config.executor.address!r}, but executor "
                f"{config.executor.name!r} works on this machine only; expected null, or executor=ray"
            )

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
    chosen.check(config)
    return chosen.of(config)


def asked_workers(config: Config, gpus: Sequence[str]) -> int:
    """Jobs at a time on this machine, whose GPUs are `gpus`: as set, else as many as have room."""
    if config.executor.workers is not None:
        return config.executor.workers
    if gpus and ":" in config.fit.device:  # all of them on that one
        return 1
    return default_workers(config.fit.threads, gpus_of_a_job(config), len(gpus))


def gpus_of_a_job(config: Config) -> float | None:
    """GPUs of each job where there are any: executor.gpus, else fit.devices; 0 for fits on the CPU.

    None where the configuration itself names one GPU (fit.device=cuda:1) for all: none are dealt out then.
    """
    if config.executor.gpus is not None:
        return config.executor.gpus
    if config.fit.device == "cpu":
        return None  # nothing is hidden from what would use a GPU all the same
    return None if ":" in config.fit.device else float(config.fit.devices)


def default_workers(threads: int, each: float | None, gpus: int) -> int:
    """As many as the cores serve; where fits run on GPUs, as many as these have room for."""
    return gpu_places(gpus, each or 0.0) or max(1, available_cores() // threads)


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
