"""probe: how far back each member remembers, on synthetic tasks; summary.json and the table of a suite.

`probe_cells` trains one network on one probe at one length with one seed a job; `probe` sums up those that
are there. Artefacts lie in artifacts/probe, whatever the competition.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, ClassVar

import torch

from data.probes.base import make_probe
from data.probes.ends import ends_used
from data.probes.first_plus_last import FirstPlusLast
from models.settings import Fit
from pipeline.allocator import freed_memory_kept
from pipeline.config import Config
from pipeline.probing.cell import Limits, fit_cell, forecaster_for, predicted
from pipeline.probing.rows import fit_of, limits_of, obstacles, suite_of
from pipeline.probing.sizing import sized
from pipeline.probing.summaries import SUMMARY
from pipeline.probing.table import summed_up
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.store import ArtifactStore

CELL = "cell.json"


@STAGES.register("probe_cells")
class ProbeCells(Stage):
    """A network trained on one probe at one length with one seed."""

    name: ClassVar[str] = "probe_cells"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        suite = suite_of(config)
        jobs = []
        # Short lengths first: what a budget leaves out are the long ones, of all members alike.
        for length in sorted({length for one in suite.values() for length in one.lengths}):
            for label, one in suite.items():
                settings = one.config.probe
                for row in one.rows if length in one.lengths else []:
                    if one.obstacle(row):
                        continue
                    for seed in range(config.seed, config.seed + settings.seeds):
                        content = {
                            "probe": one.given,
                            "length": length,
                            "network": row.kind,
                            "settings": row.at(one.probe, length),
                            "fit": fit_of(one.config, row),
                            "limits": asdict(limits_of(settings)),
                            "parameters": settings.parameters,
                            "seed": seed,
                        }
                        path = f"cells/{settings.suite}/{label}/{length}/{row.name}/seed{seed}"
                        title = f"{label} {length} {row.name} seed {seed}"
                        details = {"plugins": list(config.plugins), "device": config.fit.device}
                        jobs.append(Job(self.name, path, content, (), self.version, title, details))
        return jobs

    @freed_memory_kept()
    def run(self, job: Job, context: JobContext) -> None:
        settings, length, seed = job.settings, job.settings["length"], job.settings["seed"]
        probe = make_probe(settings["probe"])
        network, own = settings["network"], dict(settings["settings"])
        fit = Fit(**{**settings["fit"], "device": job.details["device"]})
        torch.set_num_threads(fit.threads)
        if settings["parameters"] is not None:
            own = sized(probe, length, network, own, settings["parameters"])
        forecaster = forecaster_for(probe, length, network, own, fit, seed)
        limits = Limits(**settings["limits"])
        cell = fit_cell(probe, length, forecaster, limits, seed, context.progress, context.deadline)
        chance = probe.chance(length)
        result = {"length": length, "seed": seed, **cell.to_json(), "chance": chance._asdict()}
        if isinstance(probe, FirstPlusLast) and cell.error is not None:
            batch = probe.test_batch(length, limits.test, seed)
            result |= ends_used(probe, lambda one: predicted(probe, forecaster, one), batch)
        forecaster.save(context.folder)
        (context.folder / CELL).write_text(json.dumps(result, indent=1, allow_nan=False))


@STAGES.register("probe")
class Probe(Stage):
    """One artefact <suite>: summary.json, over the cells that are there."""

    name: ClassVar[str] = "probe"

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        settings = config.probe
        there = [job for job in ProbeCells().jobs(config, store) if store.state(job) == "done"]
        content: dict[str, Any] = {
            "suite": settings.suite,
            "cells": [_cell_of(job.path) for job in there],
            "not_applicable": obstacles(suite_of(config)),
        }
        return [
            Job(self.name, settings.suite, content, tuple(job.path for job in there), self.version, "summary")
        ]

    def run(self, job: Job, context: JobContext) -> None:
        cells = []
        for entry, path in zip(job.settings["cells"], job.inputs, strict=True):
            cells.append({**json.loads((context.inputs[path] / CELL).read_text()), **entry})
        summary = {"suite": job.settings["suite"], **summed_up(cells)}
        summary["not_applicable"] = job.settings["not_applicable"]
        text = json.dumps(summary, indent=1, allow_nan=False)
        (context.folder / SUMMARY).write_text(text, encoding="utf-8")


def _cell_of(path: str) -> dict[str, str]:
    """Whose cell it is."""
    *_, probe, _, member, _ = path.split("/")
    return {"probe": probe, "member": member}
