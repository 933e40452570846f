"""Stages for tests, loaded as a plugin (never imported by name) by tests and their workers; without torch.

`toy` draws a chain of hashes, a checkpoint a step; its `details` say what goes wrong and where to log.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import InputError, OutOfTime
from pipeline.stage import STAGES, Job, JobContext, Stage


@STAGES.register("toy")
class Toy(Stage):
    """Writes result.parquet: one hash a step, begun with the settings and the inputs' last hashes."""

    name = "toy"

    def jobs(self, config: Any, store: Any) -> list[Job]:
        raise NotImplementedError

    def run(self, job: Job, context: JobContext) -> None:
        details = job.details
        checkpoint = context.folder / "checkpoint.json"
        values = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
        log(job, f"start {job.path} at {len(values)} in {os.getpid()}")
        (context.folder / ".scratch").write_text(str(os.getpid()))
        begin = [json.dumps(dict(job.settings), sort_keys=True)]
        begin += [read(context.inputs[path])[-1] for path in job.inputs]
        go_wrong(details.get("wrong"), -1)
        for step in range(len(values), job.settings["steps"]):
            if context.deadline is not None and time.monotonic() > context.deadline:
                raise OutOfTime(f"at step {step}")
            values.append(hashlib.sha256("|".join([*begin, *values]).encode()).hexdigest())
            aside = context.folder / ".checkpoint"
            aside.write_text(json.dumps(values))
            os.replace(aside, checkpoint)
            context.progress((step + 1) / job.settings["steps"], f"step {step + 1}")
            time.sleep(details.get("sleep", 0))
            go_wrong(details.get("wrong"), step)
        pq.write_table(pa.table({"value": values}), context.folder / "result.parquet")
        checkpoint.unlink(missing_ok=True)
        log(job, f"end {job.path}")


@STAGES.register("environment")
class Environment(Stage):
    """Writes what a job sees of its process: thread variables, random state; with `fit` torch's too."""

    name = "environment"

    def jobs(self, config: Any, store: Any) -> list[Job]:
        raise NotImplementedError

    def run(self, job: Job, context: JobContext) -> None:
        import random

        seen: dict[str, Any] = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        seen["random"] = random.random()
        if "fit" in job.settings:
            import torch

            seen["torch"] = [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()]
            seen["drawn"] = torch.rand(3).tolist()
        (context.folder / "seen.json").write_text(json.dumps(seen))


def go_wrong(wrong: dict[str, Any] | None, step: int) -> None:
    """`wrong`: at (step, -1: before the first), what, and until (a file: once only)."""
    if wrong is None or step != wrong["at"]:
        return
    if "until" in wrong:
        if Path(wrong["until"]).exists():
            return
        Path(wrong["until"]).touch()
    if wrong["what"] == "kill":
        print("about to die", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)
    if wrong["what"] == "input":
        raise InputError("train.csv: column 'a' is missing")
    if wrong["what"] == "time":
        raise OutOfTime("at a toy's step")
    if wrong["what"] == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if wrong["what"] == "bug":
        raise ZeroDivisionError("a bug of our own")


def log(job: Job, line: str) -> None:
    """Append to the file that `details` name; short appended lines of several processes do not mix."""
    if "log" in job.details:
        with open(job.details["log"], "a") as stream:
            stream.write(line + "\n")


def read(folder: Path) -> list[str]:
    """The values of a toy artefact."""
    return pq.read_table(folder / "result.parquet")["value"].to_pylist()


@STAGES.register("mortal")
class Mortal(Stage):
    """Dies whenever it begins."""

    name = "mortal"

    def jobs(self, config: Any, store: Any) -> list[Job]:
        raise NotImplementedError

    def run(self, job: Job, context: JobContext) -> None:
        go_wrong({"at": 0, "what": "kill"}, 0)


@STAGES.register("talker")
class Talker(Stage):
    """Prints, to both streams, a line and less than a line."""

    name = "talker"

    def jobs(self, config: Any, store: Any) -> list[Job]:
        raise NotImplementedError

    def run(self, job: Job, context: JobContext) -> None:
        print(f"{job.path} says hello")
        sys.stderr.write(f"{job.path} without a line's end")


@STAGES.register("large")
class Large(Stage):
    """Writes a file of `bytes`."""

    name = "large"

    def jobs(self, config: Any, store: Any) -> list[Job]:
        raise NotImplementedError

    def run(self, job: Job, context: JobContext) -> None:
        (context.folder / "large.bin").write_bytes(b"x" * job.settings["bytes"])
