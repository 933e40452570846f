"""tune: Optuna studies over members' settings; tune/<member>/best.json says what came of each.

Its jobs are those of train and are not known in advance: pipeline/tuning/driver.py hands them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pipeline.budget import Budget
from pipeline.config import Config
from pipeline.job_source import JobSource
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.store import ArtifactStore


@STAGES.register("tune")
class Tune(Stage):
    """No artefact of its own; trials are train/<size>/<`trial_name`>/seed<s>/<fold>."""

    name: ClassVar[str] = "tune"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        return []

    def source(
        self, config: Config, store: ArtifactStore, say: Callable[[str], None], budget: Budget | None
    ) -> JobSource:
        from pipeline.tuning.driver import Tuning

        return Tuning(config, store, say, budget)

    def run(self, job: Job, context: JobContext) -> None:
        raise AssertionError("its jobs are those of train")
