"""probe_memory: how far back networks look that were trained on probes, one cell of each row and probe."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from data.probes.base import make_probe
from pipeline.config import Config
from pipeline.member_memory import write_memory
from pipeline.probing.cell_memory import VERSION, chosen_cells, memory_job, memory_of_cell
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.stages.probe import ProbeCells
from pipeline.store import ArtifactStore


@STAGES.register("probe_memory")
class ProbeMemory(Stage):
    """memory/<suite>/<probe>/<row>: memory.json, of the best seed at the longest length that is done."""

    name: ClassVar[str] = "probe_memory"
    version: ClassVar[int] = VERSION

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        cells = [job for job in ProbeCells().jobs(config, store) if store.state(job) == "done"]
        return [memory_job(config.probe.suite, *chosen) for chosen in chosen_cells(cells, store)]

    def run(self, job: Job, context: JobContext) -> None:
        [cell] = context.inputs.values()
        probe, length = make_probe(job.settings["probe"]), job.settings["length"]
        write_memory(partial(memory_of_cell, probe, length, job.settings["seed"], cell), context.folder)
