"""baseline: the competition's simple baselines, and a valid submission from the first of them at once."""

from __future__ import annotations

from typing import ClassVar

from pipeline.competition_file import later_settings
from pipeline.config import Config
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.stages.train import fit_and_predict, member_jobs
from pipeline.store import ArtifactStore


@STAGES.register("baseline")
class Baseline(Stage):
    """baseline/<name>/seed<n>/<local or all>: fitted on everything that may be fitted on, like a refit."""

    name: ClassVar[str] = "baseline"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
        parts = [*([prepared.split.local] if prepared.split.local else []), prepared.split.test]
        jobs = []
        for name, settings in config.competition.baselines.items():
            complete = {"kind": name, **config.member.get(name, {}), **settings}
            jobs += member_jobs(config, prepared, name, complete, f"baseline/{name}", parts)
        return jobs

    def run(self, job: Job, context: JobContext) -> None:
        fit_and_predict(job, context)
