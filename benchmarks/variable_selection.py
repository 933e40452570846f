"""Variable selection with all variables at once against one network after another, which computes the same.

    python -m benchmarks.variable_selection [--variables 10 30 60] [--windows 8 64] [--rows 80] [--threads 1]
                                            [--device cpu] [--json FILE]

Milliseconds of one forward and backward pass, the median of seven rounds in which the ways take turns: `loop`
a variable at a time; `whole` all variables and windows in one; `blocks` as `tft_hybrid` runs, which on a CPU
is a few windows at a time. The last columns are the loop's time over theirs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from models.layers.variable_selection import VariableEmbedding, VariableSelection, by_blocks
from models.static_state import GatedResidual

EMBEDDED, WIDTH, REPEATS = 8, 64, 7


class PlainSelection(nn.Module):
    """Equations 6 to 8 of Lim et al. 2021 a variable at a time, for reals, with `selection`'s weights."""

    def __init__(self, embedding: VariableEmbedding, selection: VariableSelection) -> None:
        super().__init__()
        assert selection.choose is not None
        self.choose, self.project = selection.choose, selection.project
        self.embed = nn.ModuleList(nn.Linear(1, embedding.width) for _ in range(selection.variables))
        self.transform = nn.ModuleList(GatedResidual(embedding.width) for _ in range(selection.variables))
        self.to(embedding.weight.dtype)
        batched = selection.transform
        with torch.no_grad():
            for place, (linear, gated) in enumerate(zip(self.embed, self.transform, strict=True)):
                linear.weight[:, 0] = embedding.weight[place]  # type: ignore[index, operator]
                linear.bias[:] = embedding.bias[place]  # type: ignore[index, operator]
                for name in ("first", "second", "gate"):
                    getattr(gated, name).weight[:] = getattr(batched, name).weight[place]
                    getattr(gated, name).bias[:] = getattr(batched, name).bias[place, :, 0]
                gated.norm.weight[:] = batched.norm_weight[place, :, 0]  # type: ignore[union-attr, index, operator]
                gated.norm.bias[:] = batched.norm_bias[place, :, 0]  # type: ignore[union-attr, index, operator]

    def forward(self, real: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """(B, rows, V) and (B, 1, .) -> (B, rows, width), (B, rows, V)."""
        xi = [embed(real[..., place : place + 1]) for place, embed in enumerate(self.embed)]
        weight = self.choose(torch.cat(xi, dim=-1), context).softmax(dim=-1)
        parts = [
            weight[..., place : place + 1] * gated(xi[place]) for place, gated in enumerate(self.transform)
        ]
        output = sum(parts) if self.project is None else self.project(torch.cat(parts, dim=-1))
        return output, weight  # type: ignore[return-value]


def timed(variables: int, windows: int, rows: int, device: torch.device) -> dict[str, float]:
    """Seconds of one pass forwards and backwards, by way."""
    torch.manual_seed(0)
    real = torch.randn(windows, rows, variables, device=device)
    context = torch.randn(windows, 1, WIDTH, device=device)
    embedding = VariableEmbedding(variables, (), EMBEDDED).to(device)
    selection = VariableSelection(variables, EMBEDDED, WIDTH, WIDTH).to(device)
    plain = PlainSelection(embedding, selection).to(device)
    no_code = torch.zeros(windows, rows, 0, dtype=torch.int64, device=device)

    def select(real: Tensor, code: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        output, weight = selection(embedding(real, code), context)
        return output, weight

    ways: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "loop": lambda: plain(real, context),
        "whole": lambda: select(real, no_code, context),
        "blocks": lambda: by_blocks(select, variables * EMBEDDED, real, no_code, context),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):  # the first is not counted
        for name, way in ways.items():
            started = time.perf_counter()
            way()[0].sum().backward()  # type: ignore[no-untyped-call]
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variables", type=int, nargs="+", default=[10, 30, 60])
    parser.add_argument("--windows", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--rows", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the seconds here too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    print("variables  windows     loop    whole   blocks   loop/whole  loop/blocks")
    for variables in arguments.variables:
        for windows in arguments.windows:
            found = timed(variables, windows, arguments.rows, torch.device(arguments.device))
            rows.append({"variables": variables, "windows": windows, **found})
            times = "".join(f"{1e3 * found[name]:9.1f}" for name in ("loop", "whole", "blocks"))
            ratios = found["loop"] / found["whole"], found["loop"] / found["blocks"]
            print(f"{variables:9d}{windows:9d}{times}{ratios[0]:13.2f}{ratios[1]:13.2f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": arguments.rows, "seconds": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
