"""How fast networks of size=full are fitted to the ventilator at its published size; whether the GPU waits.

    python -m benchmarks.gpu [--names bilstm plstm tcn ventilator_hybrid] [--breaths 75450]
                             [--batch-sizes 128 512 2048 4096 auto] [--precisions 32 bf16] [--compile]
                             [--device cuda] [--epochs 2] [--root FOLDER] [--json FILE]
                             [--settings hidden=64 layers=1 ...]

Breaths of 80 rows are simulated, prepared and given their features by the ordinary stages; then each network
is fitted as a member is, on the first fold. Printed are the seconds of the last epoch (the first compiles and
chooses kernels), windows a second in it, windows a second that the loader alone cuts on the same device, and
the GPU's use as nvidia-smi says it (share of the time in which a kernel ran), mean over that epoch.
--settings are the networks' own, for a small run: `--device cpu --breaths 2000 --settings hidden=16`.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError
from data.inputs import build_inputs
from data.windows import WindowDataset
from features.build import build_features
from models.members.base import FitTask
from models.members.batch_size import FILE
from models.members.epoch_log import LOG
from models.members.neural import NeuralMember
from models.members.training import training_sampler
from pipeline.competition_file import later_settings
from pipeline.compose import compose
from pipeline.stages.features import feature_path, read_block
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.stages.train import member_settings
from pipeline.store import ArtifactStore

NAMES = ("bilstm", "plstm", "tcn", "ventilator_hybrid")
SECONDS_BETWEEN_LOOKS = 0.25
LOADER_BATCHES = 50
HEAD = ("network", "batch", "precision", "compile", "epoch s", "windows/s", "loader alone", "GPU use %")


class Use:
    """The GPU's use while a block runs, by looking at nvidia-smi; None where there is none."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stop = device, threading.Event()
        self._looks: list[tuple[float, float]] = []  # time.monotonic(), percent
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Use:
        if self._device.type == "cuda" and shutil.which("nvidia-smi"):
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def mean_of_last(self, seconds: float, ended: float) -> float | None:
        """Mean over the `seconds` before `ended` (time.monotonic()), percent."""
        looks = [percent for when, percent in self._looks if ended - seconds <= when <= ended]
        return sum(looks) / len(looks) if looks else None

    def _look(self) -> None:
        # By the bus address: nvidia-smi counts all GPUs, torch those of CUDA_VISIBLE_DEVICES.
        uuid = f"GPU-{torch.cuda.get_device_properties(self._device).uuid}"
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
            said = subprocess.run(["nvidia-smi", "-i", uuid, *query], capture_output=True, text=True).stdout
            with suppress(ValueError):  # "[N/A]" where the driver does not tell
                self._looks.append((time.monotonic(), float(said)))


def prepared_task(breaths: int, root: Path, name: str, folder: Path) -> tuple[FitTask, dict[str, Any]]:
    """The fit of a member's first fold at size=full, and the member's own settings."""
    words = [
        "competition=ventilator",
        "size=full",
        f"members=[{name}]",
        f"competition.reader_settings.train_breaths={breaths}",
        f"competition.reader_settings.test_breaths={max(100, breaths // 50)}",
        f"root={root}",
    ]
    subprocess.run(
        [sys.executable, "-m", "pipeline.run", "stage=features", *words], check=True, stdout=sys.stderr
    )
    config = compose(words)
    store = ArtifactStore(root / "artifacts" / "ventilator")
    prepared = Prepared(store.folder(PREPARE), later_settings(config.competition))
    fold = prepared.split.folds[0]
    _, own, fit, windows = member_settings(config, config.member[name])
    features = build_features(prepared.competition, prepared.panel, config.competition.features)
    blocks = [
        read_block(feature, store.folder(feature_path(called, fold if feature.fitted else None)), prepared)
        for called, feature in features
    ]
    inputs = build_inputs(
        prepared.competition, prepared.panel, blocks, fold, 0, prepared.horizon, scaling=windows.input_scaling
    )
    task = FitTask(
        prepared.competition, prepared.panel, inputs, fold, windows, fit, seed=0, folder=folder, loss="l1"
    )
    return task, own


def loader_alone(task: FitTask, device: torch.device) -> float:
    """Windows a second that are cut, when nothing is done with them."""
    windows = WindowDataset(task.inputs, task.windows.scaling, device)
    count, started = 0, 0.0
    for index, pairs in enumerate(
        itertools.islice(training_sampler(task, task.fold.train_end), LOADER_BATCHES)
    ):
        if index == 1:  # the first allocates
            _finish(device)
            started = time.perf_counter()
        windows[pairs]
        count += len(pairs) if index else 0
    _finish(device)
    return count / (time.perf_counter() - started) if count else float("nan")


def measure(task: FitTask, name: str, own: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """One fit, and what is printed of it."""
    with tempfile.TemporaryDirectory() as folder:
        task = replace(task, folder=Path(folder))
        with Use(device) as use:
            ended: list[float] = []
            told = replace(task, progress=lambda share, text: ended.append(time.monotonic()))
            NeuralMember(name, own).fit(told)
        with (task.folder / LOG).open() as stream:
            seconds = float([*csv.DictReader(stream)][-1]["seconds"])
        if task.fit.batch_size == "auto":
            size = json.loads((task.folder / FILE).read_text())["batch_size"]
            task = replace(task, fit=replace(task.fit, batch_size=size))
    windows = sum(len(pairs) for pairs in training_sampler(task, task.fold.train_end))
    return {
        "network": name,
        "batch": task.fit.batch_size,
        "precision": task.fit.precision,
        "compile": task.fit.compile,
        "epoch_seconds": seconds,
        "windows_a_second": windows / seconds,
        "loader_alone": loader_alone(task, device),
        "gpu_use_percent": use.mean_of_last(seconds, ended[-1]),
    }


def row_of(found: dict[str, Any]) -> str:
    """A line of the table."""
    use = found["gpu_use_percent"]
    cells = [
        found["network"],
        str(found["batch"]),
        found["precision"],
        "yes" if found["compile"] else "no",
        f"{found['epoch_seconds']:.2f}",
        f"{found['windows_a_second']:,.0f}",
        f"{found['loader_alone']:,.0f}",
        "-" if use is None else f"{use:.0f}",
    ]
    return "  ".join(cell.rjust(max(len(head), 10)) for cell, head in zip(cells, HEAD, strict=True))


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--names", nargs="+", default=list(NAMES))
    parser.add_argument("--breaths", type=int, default=75_450)
    parser.add_argument("--batch-sizes", nargs="+", default=["128", "512", "2048", "4096", "auto"])
    parser.add_argument("--precisions", nargs="+", default=["32", "bf16"], choices=["32", "bf16"])
    parser.add_argument("--compile", action="store_true", help="with torch.compile too")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 2 where there is no such device."""
    asked = parsed(arguments)
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch sees no GPU here; the same on the CPU: --device cpu --breaths 2000", file=sys.stderr)
        return 2
    device = torch.device(asked.device)
    changed = {key: json.loads(value) for key, _, value in (word.partition("=") for word in asked.settings)}
    found = []
    print("  ".join(head.rjust(max(len(head), 10)) for head in HEAD), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = asked.root or Path(folder)
        for name in asked.names:
            task, own = prepared_task(asked.breaths, root, name, Path(folder))
            compiled = [False, True] if asked.compile else [False]
            for size, precision, compile_ in itertools.product(asked.batch_sizes, asked.precisions, compiled):
                fit = replace(
                    task.fit,
                    batch_size=size if size == "auto" else int(size),
                    precision=precision,
                    compile=compile_,
                    device=asked.device,
                    max_epochs=asked.epochs,
                )
                try:
                    one = measure(replace(task, fit=fit), name, {**own, **changed}, device)
                except torch.OutOfMemoryError:
                    print(f"{name}, batches of {size}, {precision}: out of memory", flush=True)
                    continue
                found.append(one)
                print(row_of(one), flush=True)
    if asked.json:
        asked.json.write_text(
            json.dumps({"device": _called(device), "breaths": asked.breaths, "fits": found})
        )
    return 0


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _called(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(str(error))
