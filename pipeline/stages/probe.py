"""probe: how far back each member remembers, on synthetic tasks; summary.json and the page of a suite.

`probe_cells` trains one network on one probe at one length with one seed a job; `probe_memory` measures some
of them; `probe` sums up those that are there. Artefacts lie in artifacts/probe, whatever the competition.
"""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from dataclasses import asdict
from typing import Any, ClassVar

import torch

from data.probes.base import make_probe
from data.probes.ends import ends_used
from data.probes.first_plus_last import FirstPlusLast
from models.settings import Fit
from pipeline.allocator import freed_memory_kept
from pipeline.config import Config
from pipeline.member_memory import read_memory
from pipeline.probing.cell import Limits, fit_cell, forecaster_for, predicted
from pipeline.probing.cell_memory import CELL, chosen_cells, memory_job
from pipeline.probing.rows import fit_of, limits_of, obstacles, suite_of
from pipeline.probing.sizing import sized
from pipeline.probing.suite_material import SuiteMaterial
from pipeline.probing.suite_page import suite_page
from pipeline.probing.summaries import SUMMARY
from pipeline.probing.table import Group, summed_up
from pipeline.stage import STAGES, Job, JobContext, Stage
from pipeline.store import ArtifactStore

PAGE = "index.html"


@STAGES.register("probe_cells")
class ProbeCells(Stage):
    """A network trained on one probe at one length with one seed."""

    name: ClassVar[str] = "probe_cells"
    version: ClassVar[int] = 7

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
        if probe.perplexity and cell.error is not None:
            result["perplexity"] = math.exp(cell.error)
        if isinstance(probe, FirstPlusLast) and cell.error is not None:
            batch = probe.test_batch(length, limits.test, seed)
            result |= ends_used(probe, lambda one: predicted(probe, forecaster, one), batch)
        forecaster.save(context.folder)
        (context.folder / CELL).write_text(json.dumps(result, indent=1, allow_nan=False))


@STAGES.register("probe")
class Probe(Stage):
    """One artefact <suite>: summary.json and index.html, over the cells that are there.

    `job.details` may have `command` (its words), which is printed and changes no key.
    """

    name: ClassVar[str] = "probe"
    version: ClassVar[int] = 4

    def jobs(self, config: Config, store: ArtifactStore) -> list[Job]:
        name, suite = config.probe.suite, suite_of(config)
        cells = ProbeCells().jobs(config, store)
        there = [job for job in cells if store.state(job) == "done"]
        chosen = [(*one, memory_job(name, *one)) for one in chosen_cells(there, store)]
        measured = [one for one in chosen if store.state(one[-1]) == "done"]
        content: dict[str, Any] = {
            "suite": name,
            "cells": [_cell_of(job.path) for job in there],
            "planned": [[*group, seeds] for group, seeds in Counter(map(_group_of, cells)).items()],
            "members": {row.name: row.kind for one in suite.values() for row in one.rows},
            "probes": {label: one.given for label, one in suite.items()},
            "memory": [
                {
                    "probe": probe,
                    "member": row,
                    "length": job.settings["length"],
                    "seed": job.settings["seed"],
                }
                for probe, row, _, job in measured
            ],
            "limits": {label: asdict(limits_of(one.config.probe)) for label, one in suite.items()},
            "not_applicable": obstacles(suite),
        }
        inputs = (*(job.path for job in there), *(job.path for *_, job in measured))
        details = {"plugins": list(config.plugins)}
        return [Job(self.name, name, content, inputs, self.version, "summary and page", details)]

    def run(self, job: Job, context: JobContext) -> None:
        settings, count = job.settings, len(job.settings["cells"])
        cells = [
            {**json.loads((context.inputs[path] / CELL).read_text()), **entry}
            for entry, path in zip(settings["cells"], job.inputs[:count], strict=True)
        ]
        planned = {(member, probe, length): seeds for member, probe, length, seeds in settings["planned"]}
        own = {"suite": settings["suite"], "members": settings["members"]}
        summary = {**own, **summed_up(cells, planned)}
        summary |= {name: settings[name] for name in ("limits", "not_applicable")}
        text = json.dumps(summary, indent=1, allow_nan=False)
        (context.folder / SUMMARY).write_text(text, encoding="utf-8")
        memory = {}
        for entry, path in zip(settings["memory"], job.inputs[count:], strict=True):
            key = (entry["probe"], entry["member"])
            [cell] = [one for one in cells if {**one, **entry} == one]
            memory[key] = {**(read_memory(context.inputs[path]) or {}), **entry, "solved": cell["solved"]}
        probes = {label: make_probe(given) for label, given in settings["probes"].items()}
        given = job.details.get("command", ["python", "-m", "pipeline.run", "stage=probe"])
        material = SuiteMaterial(settings["suite"], shlex.join(given), summary, cells, probes, memory)
        (context.folder / PAGE).write_text(suite_page(material), encoding="utf-8")


def _group_of(job: Job) -> Group:
    """Of which row of the summary a cell is."""
    cell = _cell_of(job.path)
    return cell["member"], cell["probe"], job.settings["length"]


def _cell_of(path: str) -> dict[str, str]:
    """Whose cell it is."""
    *_, probe, _, member, _ = path.split("/")
    return {"probe": probe, "member": member}
