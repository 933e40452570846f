"""Windows per second: ours against pytorch-forecasting's TimeSeriesDataSet loader, in the same run.

    python benchmarks/windows.py [--json FILE] [--alternations 5]

The panel has 400 series of 960 rows, encoder 168, horizon 48, batch 256, float32. Ours is the very batch
that training uses, with all fields filled; theirs is what `to_dataloader(train=True)` yields, without
workers. The two alternate; the medians are compared. Memory is what building the loader and reading from
it adds to the peak resident set of a fresh process, beyond imports and the table (Linux only).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from data.competition import Columns, Competition
from data.folds import Fold, Origins
from data.inputs import build_inputs
from data.origins import OriginSampler, TrainingOrigins
from data.panel import Panel
from data.windows import WindowDataset
from pipeline.measure import peak_memory_mib, reset_peak

SERIES, ROWS, ENCODER, HORIZON, BATCH = 400, 960, 168, 48, 256


def make_table(seed: int = 0) -> pd.DataFrame:
    """Long table: series, time, group (static), weekday (known category), price (known real), y."""
    generator = np.random.default_rng(seed)
    time_index = np.tile(np.arange(ROWS), SERIES)
    return pd.DataFrame(
        {
            "series": np.repeat([f"s{number:03d}" for number in range(SERIES)], ROWS),
            "group": np.repeat([f"g{number % 7}" for number in range(SERIES)], ROWS),
            "time": time_index,
            "weekday": pd.Categorical((time_index // 24 % 7).astype(str)),
            "price": generator.normal(size=SERIES * ROWS).astype(np.float32),
            "y": generator.gamma(2.0, 10.0, size=SERIES * ROWS).astype(np.float32),
        }
    )


def ours(table: pd.DataFrame) -> Iterator[Any]:
    """Endless training batches of ours."""
    panel = Panel(
        offsets=np.arange(SERIES + 1) * ROWS,
        series_name=table["series"].unique(),
        time=table["time"].to_numpy(dtype=np.int64),
        timestamp=None,
        frame=pd.DataFrame({"weekday": table["weekday"].cat.codes + 1, "price": table["price"]}),
        static=pd.DataFrame({"group": np.arange(SERIES) % 7 + 1}),
        categories={
            "weekday": [str(day) for day in range(7)],
            "group": [f"g{number}" for number in range(7)],
        },
        target=table[["y"]].to_numpy(dtype=np.float64),
        target_name=("y",),
        weight=np.ones(SERIES * ROWS, dtype=np.float32),
        present=np.ones(SERIES * ROWS, dtype=bool),
        test=np.zeros(SERIES * ROWS, dtype=bool),
        official_id=np.full(SERIES * ROWS, "", dtype=object),
    )
    columns = Columns(static_categorical=["group"], known_categorical=["weekday"], known_real=["price"])
    competition = Competition(name="panel", target=["y"], columns=columns)
    everything = Fold(
        -2, "test", "", panel.offsets[1:], Origins(np.arange(SERIES), panel.offsets[1:] - HORIZON)
    )
    inputs = build_inputs(competition, panel, [], everything, ENCODER, HORIZON)
    dataset = WindowDataset(inputs)
    origins = TrainingOrigins(inputs, everything.train_end, min_context=ENCODER)
    sampler = OriginSampler(origins, BATCH, per_epoch=100 * BATCH, seed=0)
    loader = torch.utils.data.DataLoader(dataset, sampler=sampler, batch_size=None)
    while True:
        yield from loader
        sampler.set_epoch(sampler.epoch + 1)


def theirs(table: pd.DataFrame) -> Iterator[Any]:
    """Endless training batches of pytorch-forecasting."""
    from pytorch_forecasting import TimeSeriesDataSet

    dataset = TimeSeriesDataSet(
        table,
        time_idx="time",
        target="y",
        group_ids=["series"],
        min_encoder_length=ENCODER,
        max_encoder_length=ENCODER,
        min_prediction_length=HORIZON,
        max_prediction_length=HORIZON,
        static_categoricals=["group"],
        time_varying_known_categoricals=["weekday"],
        time_varying_known_reals=["price"],
        time_varying_unknown_reals=["y"],
    )
    loader = dataset.to_dataloader(train=True, batch_size=BATCH, num_workers=0)
    while True:
        yield from loader


LOADERS: dict[str, Callable[[pd.DataFrame], Iterator[Any]]] = {"ours": ours, "pytorch_forecasting": theirs}


def windows_per_second(batches: Iterator[Any], seconds: float) -> float:
    """Reads batches for about `seconds`; the batch size is fixed."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - start)


def _added_memory(name: str, queue: Any) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    import pytorch_forecasting  # noqa: F401  imported for both, so that only the loaders differ

    table = make_table()
    reset_peak()
    base = peak_memory_mib()
    batches = LOADERS[name](table)
    for _ in range(20):
        next(batches)
    queue.put(peak_memory_mib() - base)


def added_memory(name: str) -> float:
    """MiB that a loader adds to the peak resident set of a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_added_memory, args=(name, queue))
    process.start()
    added = float(queue.get())
    process.join()
    return added


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = make_table()
    batches = {name: make(table) for name, make in LOADERS.items()}
    for loader in batches.values():
        next(loader)
    speeds: dict[str, list[float]] = {name: [] for name in LOADERS}
    for _ in range(options.alternations):
        for name, loader in batches.items():
            speeds[name].append(windows_per_second(loader, options.seconds))
    memory = {name: added_memory(name) for name in LOADERS}
    median = {name: statistics.median(values) for name, values in speeds.items()}
    ratio = statistics.median(
        a / b for a, b in zip(speeds["ours"], speeds["pytorch_forecasting"], strict=True)
    )
    print(f"{'loader':<22}{'windows/s':>12}{'min':>10}{'max':>10}{'MiB added':>12}")
    for name in LOADERS:
        low, high = min(speeds[name]), max(speeds[name])
        print(f"{name:<22}{median[name]:>12,.0f}{low:>10,.0f}{high:>10,.0f}{memory[name]:>12.1f}")
    memory_ratio = memory["ours"] / memory["pytorch_forecasting"]
    print(
        f"ratio {ratio:.1f} (median of {options.alternations} alternations), memory ratio {memory_ratio:.2f}"
    )
    if options.json:
        figures = {
            **median,
            "ratio": ratio,
            "memory_ratio": memory_ratio,
            "memory_mib": memory,
            "alternations": speeds,
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
