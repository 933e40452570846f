"""A whole command for fault tests: runs the jobs of a JSON file, so that it can be killed from outside.

python tests/pipeline/toy_command.py JOBS.json ROOT EXECUTOR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.errors import InputError
from pipeline.executor import EXECUTORS
from pipeline.progress import Progress
from pipeline.schedule import run_jobs
from pipeline.stage import Job
from pipeline.store import ArtifactStore


def main(file: str, root: str, executor: str) -> int:
    """Prints the summary as JSON; bad input is one line and exit code 2, as in the real command."""
    jobs = [Job(**{**job, "inputs": tuple(job["inputs"])}) for job in json.loads(Path(file).read_text())]
    try:
        with EXECUTORS.get(executor)(2, 1) as running:
            summary = run_jobs(jobs, ArtifactStore(Path(root)), running, progress=Progress())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"ran": sorted(summary.ran), "reused": sorted(summary.reused)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
