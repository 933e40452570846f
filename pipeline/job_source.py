"""Jobs whose list is not known in advance: what comes next depends on what came of those before."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pipeline.executor import JobFailed
from pipeline.stage import Job


class JobSource(ABC):
    """Asked for jobs by the schedule whenever the executor has room for one."""

    @abstractmethod
    def more(self, running: int) -> list[Job]:
        """Jobs to do now, while `running` others run; [] if there are none at the moment.

        Their inputs are there, or come before them. Each of them ends in one call of `done`, `failed` or
        `out_of_time`, unless the command breaks off.
        """

    @abstractmethod
    def over(self) -> bool:
        """Whether there will be none again."""

    @abstractmethod
    def done(self, job: Job, seconds: float) -> None:
        """A job's artefact is there. seconds: that making it took now; 0 if it was there already."""

    @abstractmethod
    def expects(self, error: JobFailed) -> bool:
        """Whether a failure like this is to be reckoned with; the command does not fail for it."""

    @abstractmethod
    def failed(self, job: Job, error: JobFailed) -> None:
        """A job has failed, whether that was expected or not; or is not begun, as an input of it failed."""

    @abstractmethod
    def out_of_time(self, job: Job, reason: str) -> None:
        """A job was given up at the deadline, or not begun, as it or an input of it would take too long."""

    @abstractmethod
    def close(self) -> None:
        """Called once at the end, also where that is an error or an interruption."""
