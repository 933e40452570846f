"""How fast pLSTM and our LSTM are: each kernel against nn.LSTM, in the same process, turn and turn about.

    python -m benchmarks.recurrent [--threads 2] [--rounds 9] [--shapes 64,80,64,256 ...] [--json FILE]
                                   [--device cpu] [--keep-memory]

One layer in one direction, float32. A round runs every variant once, forward and backward (gradients of the
inputs and of all weights), and the forward pass alone without gradients for the variants called inference.
What is printed is the median over the rounds of a variant's time over nn.LSTM's in the same round; for
inference over nn.LSTM's inference. NOTE: the published pLSTM has three gates and nn.LSTM has four, which is
a quarter less work; plstm_four_gates is the like-for-like comparison.

gemm_floor is the matrix products alone of nn.LSTM's forward and backward pass, by torch.mm; nn.LSTM's own
kernels may beat it where the BLAS library does not know the processor. tcn is the dilated convolution of the
zoo, with as many parameters. On a GPU nn.LSTM is cuDNN's, and hidden 512 is added.

--keep-memory keeps freed memory in the process, as a run of the pipeline does (pipeline/allocator.py). It is
nn.LSTM that gains most: pLSTM's compiled kernel takes its memory over from call to call anyway.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from models.kernels.lstm import compiled_loops_run
from models.kernels.plstm import choose_kernel
from models.mixers.base import make_mixer
from models.mixers.fused_layer import run_recurrent
from models.mixers.plstm import PLSTM, PLSTMCell
from models.mixers.tcn import levels_to_cover
from pipeline.allocator import freed_memory_kept

#: (batch, steps, inputs, hidden)
SHAPES = ((64, 80, 64, 256), (256, 80, 32, 128), (128, 168, 16, 64), (64, 512, 8, 128))
ON_GPU = (*SHAPES, (256, 80, 64, 512))
Shape = tuple[int, ...]
Step = Callable[[], None]


def variants(shape: Shape, device: torch.device) -> dict[str, Step]:
    """One call each: forward and backward, or the forward pass alone."""
    batch, steps, inputs, hidden = shape
    rows = torch.randn(batch, steps, inputs, device=device, requires_grad=True)
    d_output = torch.randn(batch, steps, hidden, device=device)
    zero = torch.zeros(batch, hidden, device=device)
    length = torch.full((batch,), steps, device=device)
    found: dict[str, Step] = {}

    def both(name: str, module: nn.Module, run: Callable[[], Tensor]) -> None:
        def step() -> None:
            rows.grad = None
            module.zero_grad()
            run().backward(d_output)

        found[name] = step

    def inference(name: str, run: Callable[[], Tensor]) -> None:
        def step() -> None:
            with torch.no_grad():
                run()

        found[name] = step

    lstm, gru = (kind(inputs, hidden, batch_first=True).to(device) for kind in (nn.LSTM, nn.GRU))
    both("lstm", lstm, lambda: lstm(rows)[0])
    inference("lstm_inference", lambda: lstm(rows)[0])
    both("gru", gru, lambda: gru(rows)[0])
    if compiled_loops_run(rows):  # what stacks run it by on a CPU
        zeros, even = [zero[None], zero[None]], torch.full((batch,), steps)
        both("lstm_compiled", lstm, lambda: run_recurrent(lstm, rows, even, zeros, True))
        inference("lstm_compiled_inference", lambda: run_recurrent(lstm, rows, even, zeros, True))
    cells = {
        "plstm": {},
        "plstm_four_gates": {"gates": 4},
        "plstm_torch": {"kernel": "torch"},
        "plstm_reference": {"kernel": "reference"},
    }
    for name, settings in cells.items():
        cell = PLSTMCell(inputs, PLSTM.Config(hidden=hidden, **settings)).to(device)  # type: ignore[arg-type]
        both(name, cell, lambda cell=cell: cell(rows, zero, zero, zero))  # type: ignore[misc]
        if name in ("plstm", "plstm_four_gates"):
            inference(f"{name}_inference", lambda cell=cell: cell(rows, zero, zero, zero))  # type: ignore[misc]
    tcn, last = equal_tcn(shape, sum(parameter.numel() for parameter in lstm.parameters()))
    tcn, last = tcn.to(device), last.to(device)
    both("tcn", nn.ModuleList([tcn, last]), lambda: last(tcn(rows, length)))
    found["gemm_floor"] = floor(shape, device)
    return found


def equal_tcn(shape: Shape, parameters: int) -> tuple[nn.Module, nn.Module]:
    """A TCN that covers all steps with about as many parameters, and the map to `hidden` columns."""
    _, steps, inputs, hidden = shape
    levels = levels_to_cover(steps, 3)
    best: tuple[int, nn.Module, nn.Module] | None = None
    for channels in range(8, 4 * hidden, 4):
        entry = {"name": "tcn", "hidden": channels, "levels": levels, "kernel": 3}
        tcn, last = make_mixer(entry, inputs, "tcn"), nn.Linear(channels, hidden)
        count = sum(parameter.numel() for module in (tcn, last) for parameter in module.parameters())
        if best is None or abs(count - parameters) < abs(best[0] - parameters):
            best = count, tcn, last
        if count > parameters:
            break
    assert best is not None
    return best[1], best[2]


def floor(shape: Shape, device: torch.device) -> Step:
    """The products of an LSTM's forward and backward pass, with nothing between them."""
    batch, steps, inputs, hidden = shape
    rows = torch.randn(batch * steps, inputs, device=device)
    state = torch.randn(batch, hidden, device=device)
    states = torch.randn(batch * steps, hidden, device=device)
    gates = torch.randn(batch * steps, 4 * hidden, device=device)
    weight = torch.randn(4 * hidden, inputs, device=device)
    recurrent = torch.randn(4 * hidden, hidden, device=device)
    row_gates, total = gates[:batch], torch.empty(batch, 4 * hidden, device=device)

    def step() -> None:
        torch.mm(rows, weight.T)
        for _ in range(steps):
            torch.mm(state, recurrent.T, out=total)
            torch.mm(row_gates, recurrent)
        torch.mm(gates, weight)
        torch.mm(gates.T, rows)
        torch.mm(gates.T, states)

    return step


def ratios(shape: Shape, rounds: int, device: torch.device) -> tuple[dict[str, float], float]:
    """Each variant's time over nn.LSTM's, and nn.LSTM's own in seconds."""
    steps = variants(shape, device)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:  # the first one compiles and warms up
                seconds[name].append(time.perf_counter() - start)
    found = {}
    for name, times in seconds.items():
        base = seconds["lstm_inference" if name.endswith("inference") else "lstm"]
        found[name] = statistics.median(own / other for own, other in zip(times, base, strict=True))
    return found, statistics.median(seconds["lstm"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--shapes", nargs="*", help="batch,steps,inputs,hidden (default: the four or five)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--keep-memory", action="store_true", help="as in a run of the pipeline")
    parser.add_argument("--json", type=Path, help="write what is printed here too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    shapes: tuple[Shape, ...] = ON_GPU if device.type == "cuda" else SHAPES
    if options.shapes:
        shapes = tuple(tuple(int(part) for part in shape.split(",")) for shape in options.shapes)
    kernel, reason = choose_kernel("auto", device, torch.float32)
    print(f"kernel=auto is {kernel} ({reason}); {device}, {options.threads} threads, {options.rounds} rounds")
    found: dict[str, dict[str, float]] = {}
    lstm_seconds: dict[str, float] = {}
    names = [",".join(map(str, shape)) for shape in shapes]
    for shape, name in zip(shapes, names, strict=True):
        with freed_memory_kept() if options.keep_memory else nullcontext():
            row, seconds = ratios(shape, options.rounds, device)
        lstm_seconds[name] = seconds
        print(f"{name}: nn.LSTM takes {1e3 * seconds:.1f} ms forward and backward", flush=True)
        for variant, ratio in row.items():
            found.setdefault(variant, {})[name] = ratio
    print(
        f"\n{'ratio to nn.LSTM':<26}" + "".join(f"{name:>15}" for name in names) + f"{'geometric mean':>17}"
    )
    for variant, row in found.items():
        row["geometric mean"] = statistics.geometric_mean(row.values())
        print(
            f"{variant:<26}"
            + "".join(f"{row[name]:>15.2f}" for name in names)
            + f"{row['geometric mean']:>17.2f}"
        )
    print("plstm has three gates, nn.LSTM four: a quarter less work. Inference: over nn.LSTM's inference.")
    if options.json:
        figures = {
            "kernel": kernel,
            "device": str(device),
            "threads": options.threads,
            "memory_kept": options.keep_memory,
            "lstm_seconds": lstm_seconds,
            "ratio": found,
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
