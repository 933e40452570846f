"""What a stage is: a list of jobs, each of which reads artefacts and writes one.

A job is plain data, so that it can be keyed, sent to another process or machine, killed and started
again. Everything that its result depends on stands in `settings`, `version` and the keys of `inputs`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from data.errors import OutOfTime
from data.registry import Registry

if TYPE_CHECKING:
    from pipeline.budget import Budget
    from pipeline.config import Config
    from pipeline.job_source import JobSource
    from pipeline.store import ArtifactStore

__all__ = ["STAGES", "Job", "JobContext", "OutOfTime", "Stage"]

STAGES: Registry[type[Stage]] = Registry("stage", "pipeline.stages")


@dataclass(frozen=True)
class Job:
    """One artefact to make."""

    stage: str  # name of the stage whose `run` does it
    path: str  # folder of the artefact below artifacts/<competition>/, as train/quick/lstm/seed0/fold1
    settings: Mapping[str, Any]  # JSON-ready; all that the result depends on besides the inputs
    inputs: tuple[str, ...] = ()  # paths of the artefacts that it reads
    version: int = 1
    title: str = ""  # for the progress display
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON-ready; changes no result (a device)


@dataclass(frozen=True)
class JobContext:
    """What a running job is given."""

    folder: Path  # write here. After a kill the same folder, with what was written, is given again
    inputs: Mapping[str, Path]  # path of an input artefact: its folder
    root: Path  # artifacts/<competition>
    progress: Callable[[float, str], None]  # share done in 0..1, and a short text ("epoch 3/10 loss 0.51")
    deadline: float | None = None  # time.monotonic() at which the budget ends; raise OutOfTime to give up


class Stage(ABC):
    """One stage, one file in pipeline/stages/."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @abstractmethod
    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        """The jobs of this stage, in an order in which they may run; a job's inputs come before it.

        Called when the stages before have run, so it may look at what they made.
        """

    def source(
        self, config: Config, store: ArtifactStore, say: Callable[[str], None], budget: Budget | None
    ) -> JobSource | None:
        """What hands out further jobs, for a stage whose jobs are not known in advance.

        say: prints a line that stays beside the progress display.
        """
        return None

    @abstractmethod
    def run(self, job: Job, context: JobContext) -> None:
        """Do one job: read `context.inputs`, write into `context.folder`. Raises InputError for bad input."""


class StageWithoutJobs(Stage):
    """One that makes no artefacts: a function does it all (WITHOUT_JOBS of pipeline/runner.py)."""

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        return []

    def run(self, job: Job, context: JobContext) -> None:
        raise AssertionError("the stage has no jobs")
