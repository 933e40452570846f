"""How much faster two workers fit than one, against what two independent busy processes reach.

    python benchmarks/executors.py [--fits 8] [--repeats 3] [--epochs 5] [--breaths 400] [--json FILE]

Eight equal fits of the ventilator's BiLSTM (one fold, eight seeds) are made by one worker, by two workers
(processes, Ray) at fit.threads=1, and by one worker with two threads, each way into a folder of its own;
seconds are those of the train stage, starting the workers included. The ways take turns, and medians are
compared. `busy` is the share of the workers' time that went into fits, `first` the seconds of a first one.
The ceiling, in the same run: an LSTM as a plain torch loop, in one process and then in two at the same time
that know nothing of each other. Predictions of all ways with one thread must be equal bit for bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.compose import compose
from pipeline.config import Config
from pipeline.executor import EXECUTORS, available_cores
from pipeline.progress import Progress
from pipeline.schedule import run_jobs
from pipeline.stage import STAGES
from pipeline.store import ArtifactStore

#: way: (executor, workers, fit.threads)
WAYS = {
    "one worker": ("processes", 1, 1),
    "two workers": ("processes", 2, 1),
    "two workers, ray": ("ray", 2, 1),
    "one worker, two threads": ("processes", 1, 2),
}
REFERENCE = "one worker"

#: Busy with an LSTM for so many seconds from a given moment on; prints its steps a second.
_BUSY = """
import sys, time, torch
torch.set_num_threads(1)
begin, seconds = float(sys.argv[1]), float(sys.argv[2])
network = torch.nn.LSTM(16, 64, num_layers=2, bidirectional=True, batch_first=True)
batch = torch.randn(64, 80, 16)
network(batch)[0].sum().backward()
assert time.time() < begin, "began too late"
time.sleep(begin - time.time())
steps = 0
while time.time() < begin + seconds:
    network(batch)[0].sum().backward()
    steps += 1
print(steps / (time.time() - begin))
"""
BUSY_SECONDS, BUSY_START = 8.0, 12.0


def busy(count: int) -> float:
    """Steps a second of `count` independent processes together."""
    begin = time.time() + BUSY_START
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _BUSY, str(begin), str(BUSY_SECONDS)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    rates = [float(process.communicate()[0]) for process in running]
    assert all(process.returncode == 0 for process in running)
    return sum(rates)


def words(options: argparse.Namespace, threads: int) -> list[str]:
    """The command line of the fits."""
    return [
        "stage=train",
        "competition=ventilator",
        "members=[bilstm]",
        f"competition.reader_settings.train_breaths={options.breaths}",
        "competition.reader_settings.test_breaths=50",
        f"fit.max_epochs={options.epochs}",
        f"fit.patience={options.epochs}",
        "fit.folds=[0]",
        "fit.refit=none",
        "fit.memory=false",
        f"fit.seeds={options.fits}",
        f"fit.threads={threads}",
    ]


def fit(way: str, prepared: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the train stage that way, the share that went into fits, and a hash of the results."""
    executor, workers, threads = WAYS[way]
    config = compose(words(options, threads))
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder) / "ventilator")
        shutil.copytree(prepared, store.root)
        jobs = STAGES.get("train")().jobs(config, store)
        assert len(jobs) == options.fits
        started = time.perf_counter()
        with EXECUTORS.get(executor)(workers, threads) as running:
            run_jobs(jobs, store, running, progress=Progress(quiet=True))
            done = time.perf_counter() - started
        seconds = time.perf_counter() - started
        manifests = [store.manifest(job.path) for job in jobs]
        each = [manifest.seconds for manifest in manifests if manifest is not None]
        assert len(each) == len(jobs)
        return {
            "seconds": done,
            "with_close": seconds,
            "each": each,
            "busy": sum(each) / (workers * done),
            "predictions": predictions(store),
        }


def predictions(store: ArtifactStore) -> str:
    """One hash of every file of predictions and every fitted network."""
    files = sorted(
        file for end in ("parquet", "safetensors") for file in (store.root / "train").rglob(f"*.{end}")
    )
    assert files
    parts = [
        file.relative_to(store.root).as_posix() + hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    ]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def prepare(options: argparse.Namespace, root: Path) -> Path:
    """The artefacts that the fits read."""
    config: Config = compose(words(options, 1))
    store = ArtifactStore(root / "ventilator")
    with EXECUTORS.get("inline")(1, 1) as running:
        for stage in ("prepare", "features"):
            run_jobs(STAGES.get(stage)().jobs(config, store), store, running, progress=Progress(quiet=True))
    return store.root


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and say whether all ways gave the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fits", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--breaths", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    ways = [way for way, (name, _, _) in WAYS.items() if name != "ray" or find_spec("ray") is not None]
    load = os.getloadavg()[0]
    print(f"load before: {load:.2f}, {available_cores()} cores")
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(options, Path(folder))
        for turn in range(options.repeats):
            for count in rates:
                rates[count].append(busy(count))
            for way in ways if turn % 2 == 0 else reversed(ways):
                found[way].append(fit(way, prepared, options))
                told = f"turn {turn + 1} of {options.repeats}, {way}: {found[way][-1]['seconds']:.1f} s"
                print(told, file=sys.stderr, flush=True)
    result = summary(found, rates)
    result["load_before"] = load
    for line in lines(result):
        print(line)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["same_predictions"] else 1


def summary(found: dict[str, list[dict[str, Any]]], rates: dict[int, list[float]]) -> dict[str, Any]:
    """Medians, and ratios to one worker."""
    ceiling = statistics.median(rates[2]) / statistics.median(rates[1])
    seconds = {way: statistics.median(run["seconds"] for run in runs) for way, runs in found.items()}
    ways = {
        way: {
            "seconds": seconds[way],
            "faster": seconds[REFERENCE] / seconds[way],
            "of_ceiling": seconds[REFERENCE] / seconds[way] / ceiling,
            "busy": statistics.median(run["busy"] for run in runs),
            "seconds_a_fit": statistics.median(each for run in runs for each in run["each"]),
            "first_fit": statistics.median(run["each"][0] for run in runs),
            "with_close": statistics.median(run["with_close"] for run in runs),
            "runs": [run["seconds"] for run in runs],
        }
        for way, runs in found.items()
    }
    alike = {run["predictions"] for way, runs in found.items() if WAYS[way][2] == 1 for run in runs}
    return {"ways": ways, "ceiling": ceiling, "same_predictions": len(alike) == 1}


def lines(result: dict[str, Any]) -> list[str]:
    """The table that is printed."""
    ceiling = result["ceiling"]
    said = [f"{'':<26}{'seconds':>9}{'faster':>9}{'of ceiling':>12}{'busy':>7}{'s a fit':>9}{'first':>7}"]
    for way, row in result["ways"].items():
        said.append(
            f"{way:<26}{row['seconds']:>9.1f}{row['faster']:>9.2f}{row['of_ceiling']:>12.2f}"
            f"{row['busy']:>7.0%}{row['seconds_a_fit']:>9.2f}{row['first_fit']:>7.2f}"
        )
    said.append(f"two independent busy processes against one: {ceiling:.2f} times the steps")
    same = "equal bit for bit" if result["same_predictions"] else "DIFFERENT"
    said.append(f"predictions and networks of all ways with one thread: {same}")
    return said


if __name__ == "__main__":
    sys.exit(main())
