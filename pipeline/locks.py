"""Locks between runs: one file an artefact, held by the kernel, released even by kill -9.

POSIX record locks (lockf) belong to the process and are not inherited, so that no forked child can keep the
lock of a parent that was killed. Who makes an artefact holds its lock; who reads it holds it shared, so that
nobody replaces what is being read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import OutOfTime

POLL_SECONDS = 0.1


@contextmanager
def lock(
    file: Path,
    shared: bool = False,
    deadline: float | None = None,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> Iterator[None]:
    """Hold `file`; where another process has it, call `on_wait` once with that one's id and wait.

    Raises OutOfTime at `deadline` (time.monotonic()).
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        told = False
        while not _try(descriptor, shared):
            if not told:
                told = True
                on_wait(os.pread(descriptor, 32, 0).decode("ascii", "replace").strip())
            if deadline is not None and time.monotonic() > deadline:
                raise OutOfTime(f"while another run held {file.stem}")
            time.sleep(POLL_SECONDS)
        if not shared:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # releases


@contextmanager
def lock_if_free(file: Path) -> Iterator[bool]:
    """Hold `file` if no other process does; whether it is held."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield _try(descriptor, shared=False)
    finally:
        os.close(descriptor)


def _try(descriptor: int, shared: bool) -> bool:
    try:
        fcntl.lockf(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True
