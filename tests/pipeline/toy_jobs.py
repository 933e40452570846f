"""Jobs of the toy stages (see toy_stages.py, which is a plugin), and a source of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.executor import JobFailed
from pipeline.job_source import JobSource
from pipeline.stage import Job

PLUGIN = Path(__file__).resolve().parent / "toy_stages.py"


def toy(
    path: str, *inputs: str, steps: int = 3, details: dict[str, Any] | None = None, **settings: Any
) -> Job:
    """A job of the stage `toy`."""
    everything = {"plugins": [str(PLUGIN)], **(details or {})}
    return Job("toy", path, {"steps": steps, **settings}, inputs, 1, path, everything)


class Rounds(JobSource):
    """Hands out lists of jobs one after another, each when all of the list before have ended.

    told: path of a job that has ended: "done", or why there is no artefact of it.
    """

    def __init__(self, *rounds: list[Job], expected: bool = False) -> None:
        """expected: whether failures are to be reckoned with."""
        self.told: dict[str, str] = {}
        self._rounds = [*rounds]
        self._open: set[str] = set()
        self._expected = expected

    def more(self, running: int) -> list[Job]:
        if self._open or not self._rounds:
            return []
        jobs = self._rounds.pop(0)
        self._open = {job.path for job in jobs}
        return jobs

    def over(self) -> bool:
        return not self._rounds and not self._open

    def done(self, job: Job, seconds: float) -> None:
        self._end(job, "done")

    def expects(self, error: JobFailed) -> bool:
        return self._expected

    def failed(self, job: Job, error: JobFailed) -> None:
        self._end(job, error.reason)

    def out_of_time(self, job: Job, reason: str) -> None:
        self._end(job, f"out of time: {reason}")

    def close(self) -> None:
        return

    def _end(self, job: Job, how: str) -> None:
        self._open.remove(job.path)
        self.told[job.path] = how
