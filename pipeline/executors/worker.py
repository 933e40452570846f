"""What runs in a worker process: orders come in through a pipe, events go out through it.

Started by `processes` as a fresh interpreter (never forked: CUDA and OpenMP do not survive a fork), with the
thread variables in its environment before anything heavy is imported.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

from data.errors import InputError, OutOfTime
from data.registry import load_plugins
from pipeline.executor import Event, JobFailed, known_error
from pipeline.perform import Order, perform

SECONDS_BETWEEN_EVENTS = 0.1
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(descriptor: int, parent: int) -> None:
    """Do orders until the parent says stop, or is gone. `descriptor` is our end of the pipe."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops us
    os.set_inheritable(descriptor, False)
    pipe = Connection(descriptor)
    while True:
        try:
            message: tuple[Order, tuple[str, ...]] | None = pipe.recv()
        except EOFError:
            return
        if message is None:
            return
        order, plugins = message
        event = do(order, plugins, pipe.send)
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send(event)


def die_with(parent: int) -> None:
    """Make the kernel kill this process when `parent` dies; where it cannot, look every second."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def die_after(process: int) -> None:
    """End this process when `process`, of the same machine and no parent of it, has ended."""

    def watch() -> None:
        if hasattr(os, "pidfd_open"):  # Linux: readable when it ends, at once
            with suppress(OSError):
                select.select([os.pidfd_open(process)], [], [])
                os._exit(1)
        with suppress(ProcessLookupError):
            while True:
                os.kill(process, 0)
                time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def do(order: Order, plugins: tuple[str, ...], send: Callable[[Event], None]) -> Event:
    """Do one order; what became of it, as an event that can be pickled. `send` is given those on the way."""
    path = order.job.path
    last = 0.0

    def progress(share: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_EVENTS:
            last = time.monotonic()
            send(Event("progress", path, share, text))

    try:
        load_plugins(plugins)
        outcome = perform(order, progress, lambda text: send(Event("waiting", path, text=text)))
        return Event("done", path, outcome=outcome)
    except Exception as error:
        return Event("error", path, error=_bare(known_error(path, error)))


def _bare(error: Exception) -> Exception:
    """The same error without what cannot be sent: causes, tracebacks, subclasses of the stage's own."""
    if isinstance(error, JobFailed):
        return JobFailed(error.path, error.reason, error.details)
    return InputError(str(error)) if isinstance(error, InputError) else OutOfTime(str(error))
