"""What jobs print in Ray's workers, line by line, whoever prints: Python, C, a process they start."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MARK = b"\0"  # ends what belongs to one job
SECONDS = 5.0  # until the end of a job's output is given up on


class Output:
    """Takes over the process's standard output and error, for good; all of it still goes to Ray's log."""

    def __init__(self) -> None:
        self._send: Callable[[str], object] | None = None
        self._all_sent = threading.Event()
        self._log = os.dup(sys.stdout.fileno())
        reader, writer = os.pipe()
        for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            os.dup2(writer, descriptor)
        os.close(writer)
        sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        threading.Thread(target=self._read, args=(reader,), daemon=True).start()

    @contextmanager
    def sent(self, send: Callable[[str], object]) -> Iterator[None]:
        """`send` gets each line that is printed inside; all of them by the end."""
        self._send = send
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            self._all_sent.clear()
            os.write(1, MARK)
            self._all_sent.wait(SECONDS)
            self._send = None

    def _read(self, reader: int) -> None:
        partial = b""
        while content := os.read(reader, 65536):
            os.write(self._log, content)
            marked = MARK in content
            *lines, partial = (partial + content).replace(MARK, b"\n").split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                if text and self._send is not None:
                    self._send(text)
            if marked:
                self._all_sent.set()
