"""What people see while jobs run: a line a running job on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from data.errors import InputError
from pipeline.executor import Event
from pipeline.stage import Job

REDRAW_SECONDS = 0.2  # on a terminal
LINE_SECONDS = 15.0  # elsewhere
BAR = 16  # characters
GOES_ON = "goes on"  # begins the first report of a job that an earlier command left unfinished


@dataclass
class _Running:
    title: str
    started: float  # time.monotonic()
    said: float  # when a line was last printed
    began: tuple[float, float] | None = None  # time and share of the first report: a resumed job begins late
    share: float = 0.0
    text: str = ""

    def report(self, share: float, text: str) -> None:
        self.share, self.text = min(1.0, max(0.0, share)), text
        if self.began is None:
            self.began = (time.monotonic(), self.share)

    def remaining(self) -> float | None:
        """Seconds, None while nothing can be said."""
        if self.began is None or self.share - self.began[1] < 0.02:
            return None
        rate = (self.share - self.began[1]) / max(1e-9, time.monotonic() - self.began[0])
        return (1 - self.share) / rate

    def words(self) -> str:
        elapsed = duration(time.monotonic() - self.started)
        left = self.remaining()
        return f"{self.share:4.0%}  {elapsed}{f', about {duration(left)} left' if left is not None else ''}"


class Progress:
    """The display of one command; `begin` and `end` bracket each list of jobs."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.quiet = quiet
        self.live = not quiet and self.stream.isatty()
        self._running: dict[str, _Running] = {}
        self._drawn = 0  # lines that stand on the terminal now
        self._redrawn = 0.0
        self._name = ""
        self._total = self._done = 0

    def stage(self, name: str) -> None:
        """Name of the stage whose jobs come next; it stands before its lines."""
        self._name = name

    def begin(self, jobs: Mapping[str, Job], already: int) -> None:
        """A list of jobs begins, some of which are done already (that all are is for the command to say)."""
        self._total, self._done = len(jobs), already
        if 0 < already < self._total:
            self.note(f"{already} of {self._total} already done")

    def more(self, total: int, already: int = 0) -> None:
        """There are `total` jobs by now; so many of them more were done already."""
        self._total, self._done = total, self._done + already

    def start(self, job: Job) -> None:
        """A job was given to the executor."""
        self._running[job.path] = _Running(job.title or job.path, time.monotonic(), time.monotonic())
        self._draw(force=True)

    def event(self, event: Event) -> None:
        """What the executor says of a job."""
        if event.kind == "output":
            self.note(event.text, prefix=False)
            return
        running = self._running.get(event.path)
        if running is None:
            return
        if event.kind == "progress":
            if running.began is None and event.text.startswith(GOES_ON):
                self.note(f"{running.title}: {event.text}")
            running.report(event.share, event.text)
        elif event.kind == "waiting":
            running.text = f"waits for another run{f' (process {event.text})' if event.text else ''}"
            self.note(f"{running.title}: {running.text} that holds it")
        elif event.kind == "retry":
            self.note(f"{running.title}: {event.text}; it goes on in a fresh one")
        else:
            del self._running[event.path]
            self._ended(event, running)
        self._tell()

    def forget(self, path: str) -> None:
        """A job has ended, and what that means is said elsewhere."""
        self._running.pop(path, None)
        self._done += 1

    def note(self, text: str, prefix: bool = True) -> None:
        """A line that stays."""
        if self.quiet:
            return
        self._clear()
        place = f"{self._name}: " if prefix and self._name else ""
        print(f"{place}{text}", file=self.stream, flush=True)
        self._draw(force=True)

    def end(self) -> None:
        """The list of jobs has ended, or was broken off."""
        self._clear()
        self._running.clear()

    def _ended(self, event: Event, running: _Running) -> None:
        took = duration(time.monotonic() - running.started)
        if event.outcome is not None:
            self._done += 1
            how = {"ran": "done", "reused": "done by another run", "restored": "taken up again"}
            self.note(f"{running.title}: {how[event.outcome.how]} in {took} ({self._done} of {self._total})")
        elif event.error is not None and not isinstance(event.error, InputError):  # the command says that one
            text = getattr(event.error, "reason", str(event.error)) or type(event.error).__name__
            kind = "out of time, " if type(event.error).__name__ == "OutOfTime" else "failed, "
            self.note(f"{running.title}: {kind}{text} ({took})")

    def _tell(self) -> None:
        if self.live:
            self._draw()
            return
        for running in self._running.values():
            if time.monotonic() - running.said > LINE_SECONDS:
                running.said = time.monotonic()
                self.note(f"{running.title}: {running.words()}  {running.text}".rstrip())

    def tick(self) -> None:
        """Time has passed: elapsed and remaining times change even if no job says anything."""
        self._tell()

    def _draw(self, force: bool = False) -> None:
        now = time.monotonic()
        if not self.live or (not force and now - self._redrawn < REDRAW_SECONDS):
            return
        self._clear()
        self._redrawn = now
        columns = shutil.get_terminal_size().columns - 1
        for running in self._running.values():
            full = round(BAR * running.share)
            line = f"{running.title}  {'█' * full}{'░' * (BAR - full)} {running.words()}  {running.text}"
            print(line[:columns], file=self.stream)
        self._drawn = len(self._running)
        self.stream.flush()

    def _clear(self) -> None:
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0


def duration(seconds: float) -> str:
    """For people: 0.4 s, 12 s, 3m05s, 2h07m."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
