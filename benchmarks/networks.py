"""The zoo as a table: parameters, speed and peak memory of every network by length of the window, and scores.

    python -m benchmarks.networks [--names lstm tcn ...] [--lengths 80 168 512] [--threads 2]
                                  [--scores FOLDER] [--json FILE] [--markdown]

Speed and memory: windows of a horizon task (24 rows asked after a history, six real inputs, two categories,
static metadata), batches of 64, each network with its own default settings, each cell in a process of its
own. `train` and `predict` are windows a second, `uneven` is the training speed on windows that differ in
length against equally long ones, `MiB` is what a training step adds to the peak of the process.

--scores reads what runs left in FOLDER/artifacts/<competition>/report/summary.json, whatever competitions are
there; `benchmarks/competitions.py --members all` makes them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data.batch import SequenceBatch
from data.errors import InputError
from data.schema import InputSchema
from models.forecaster import make_forecaster
from models.network import NETWORKS
from models.optimisation import make_optimizer
from models.settings import Fit
from pipeline.allocator import freed_memory_kept
from pipeline.measure import peak_memory_mib, reset_peak

HORIZON, BATCH = 24, 64
CATEGORY_SIZE, STATIC_SIZE = (8, 25), (12,)
KNOWN = 4  # real columns; a past target and its indicator come on top
REPEATS, LEAST_SECONDS = 3, 0.4


def schema_of(length: int) -> InputSchema:
    """Windows of `length` rows, the last HORIZON of them asked."""
    known = tuple(f"known_{index}" for index in range(KNOWN))
    return InputSchema(
        real=(*known, "past.y", "available.0"),
        real_role=(*(("known",) * KNOWN), "past_target", "indicator"),
        category=("weekday", "hour"),
        category_size=CATEGORY_SIZE,
        static_real=("size",),
        static_category=("group",),
        static_category_size=STATIC_SIZE,
        target=("y",),
        context=length - HORIZON,
        horizon=HORIZON,
        series=100,
        seasonality=(24,),
    )


def batch_of(schema: InputSchema, uneven: bool, seed: int = 0) -> SequenceBatch:
    """BATCH windows; uneven ones have between a quarter and all of the history."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.full((BATCH,), schema.length)
    if uneven:
        length -= torch.randint(0, 3 * schema.context // 4, (BATCH,), generator=generator)
    origin = length - HORIZON
    step = torch.arange(schema.length)
    used, past = step < length[:, None], step < origin[:, None]
    asked = used & ~past
    real = torch.randn(BATCH, schema.length, len(schema.real), generator=generator)
    real[:, :, KNOWN:] *= past[:, :, None]
    code = [torch.randint(1, size, (BATCH, schema.length), generator=generator) for size in CATEGORY_SIZE]
    return SequenceBatch(
        real=real * used[:, :, None],
        category=torch.stack(code, -1) * used[:, :, None],
        static_real=torch.randn(BATCH, 1, generator=generator),
        static_category=torch.randint(1, STATIC_SIZE[0], (BATCH, 1), generator=generator),
        series=torch.randint(0, schema.series, (BATCH,), generator=generator),
        time=(torch.randint(0, 1000, (BATCH, 1), generator=generator) + step) * used,
        length=length,
        origin=origin,
        asked=asked,
        weight=asked.float(),
        row_id=torch.where(asked, torch.arange(BATCH)[:, None] * schema.length + step, -1),
        location=torch.full((BATCH, 1), 10.0),
        scale=torch.full((BATCH, 1), 2.0),
        target=torch.rand(BATCH, schema.length, 1, generator=generator) * used[:, :, None],
    )


def windows_per_second(step: Callable[[], Any]) -> float:
    """Median over REPEATS of runs of at least LEAST_SECONDS; the first step is not counted."""
    step()
    speeds = []
    for _ in range(REPEATS):
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < LEAST_SECONDS:
            step()
            count += BATCH
        speeds.append(count / (time.perf_counter() - start))
    return statistics.median(speeds)


@freed_memory_kept()  # as in a run
def cell(name: str, length: int, threads: int) -> dict[str, float]:
    """One network at one length; to be called in a fresh process, since memory is the peak of it."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    schema = schema_of(length)
    even, uneven = batch_of(schema, uneven=False), batch_of(schema, uneven=True)
    reset_peak()
    base = peak_memory_mib()
    fit = Fit()
    forecaster = make_forecaster(name, None, schema, fit)
    optimizer = make_optimizer(forecaster, fit)

    def train(batch: SequenceBatch) -> None:
        optimizer.zero_grad()
        forecaster.loss(forecaster(batch), batch).backward()
        optimizer.step()

    forecaster.train()
    train(even)
    figures = {
        "parameters": float(sum(parameter.numel() for parameter in forecaster.parameters())),
        "memory_mib": peak_memory_mib() - base,
        "train": windows_per_second(lambda: train(even)),
    }
    figures["uneven"] = windows_per_second(lambda: train(uneven)) / figures["train"]
    forecaster.eval()
    with torch.inference_mode():
        figures["predict"] = windows_per_second(lambda: forecaster.forecast(even))
    return figures


def measured(name: str, length: int, threads: int) -> dict[str, float] | str:
    """`cell` in a process of its own; the line that says why not where it cannot be."""
    words = ["-m", "benchmarks.networks", "--cell", name, str(length), "--threads", str(threads)]
    run = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if run.returncode:
        return run.stderr.strip().splitlines()[-1]
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


def kept_cells(file: Path, made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Cells of an earlier call by network and length, unless it had another torch or other threads."""
    earlier = json.loads(file.read_text()) if file.exists() else {}
    if earlier and earlier.get("made_with") != made:
        print(f"{file} was made with {earlier.get('made_with')}: all is measured anew", file=sys.stderr)
        return {}
    found: dict[str, dict[str, Any]] = earlier.get("networks", {})
    return found


def scores_in(folder: Path) -> dict[str, dict[str, Any]]:
    """{competition: its summary} of the runs below `folder`."""
    files = sorted(folder.glob("artifacts/*/report/summary.json"))
    return {file.parents[1].name: json.loads(file.read_text()) for file in files}


def table(
    found: dict[str, dict[str, Any]], lengths: list[int], scores: dict[str, dict[str, Any]]
) -> list[list[str]]:
    """Rows of cells, the head first; members that are no networks have scores only."""
    head = ["member", "parameters"]
    head += [f"{what} {length}" for what in ("train", "predict", "MiB") for length in lengths] + ["uneven"]
    head += [f"{name} ({summary['metric']})" for name, summary in scores.items()]
    others = {name for each in scores.values() for name in each["members"]} - set(found)
    names = [*sorted(found), *sorted(others)]
    rows = [head]
    for name in names:
        cells = found.get(name, {})
        known = [cells.get(str(length)) for length in lengths]
        good = [value if isinstance(value, dict) else None for value in known]
        first, last = next((value for value in good if value), None), good[-1] if good else None
        row = [name, f"{first['parameters']:,.0f}" if first else "-"]
        for what, width in (("train", 0), ("predict", 0), ("memory_mib", 0)):
            row += [f"{value[what]:,.{width}f}" if value else "-" for value in good]
        row.append(f"{last['uneven']:.2f}" if last else "-")
        for summary in scores.values():
            member = summary["members"].get(name)
            score = None if member is None else member["local"] or member["cv_mean"]
            row.append("-" if score is None else f"{score:.4g}")
        rows.append(row)
    return rows


def show(rows: list[list[str]], markdown: bool) -> str:
    """Aligned columns, or a table for README."""
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="*", help="networks (default: all)")
    parser.add_argument("--lengths", nargs="*", type=int, default=[80, 168, 512])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scores", type=Path, help="root= of finished runs, for the columns of scores")
    parser.add_argument("--json", type=Path, help="write the figures here; cells that are there are kept")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        try:
            print(json.dumps(cell(options.cell[0], int(options.cell[1]), options.threads)))
        except InputError as error:
            sys.exit(str(error))
        return
    made = {"torch": torch.__version__, "threads": options.threads}
    found: dict[str, dict[str, Any]] = kept_cells(options.json, made) if options.json else {}
    for name in options.names or [name for name, kind in NETWORKS.items() if "horizon" in kind.tasks]:
        for length in options.lengths:
            if isinstance(found.setdefault(name, {}).get(str(length)), dict):
                continue
            found[name][str(length)] = measured(name, length, options.threads)
            print(f"{name} at {length}: {found[name][str(length)]}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps({"made_with": made, "networks": found}, indent=2) + "\n")
    scores = scores_in(options.scores) if options.scores else {}
    print(show(table(found, options.lengths, scores), options.markdown))
    if options.json:
        kept = {name: {"metric": each["metric"], "members": each["members"]} for name, each in scores.items()}
        figures = {"made_with": made, "networks": found, "scores": kept}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
