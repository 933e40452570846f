"""Cells summed up: success rate, error and cost by member, probe and length, and T50."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.report.text import plural

#: Looks at the two ends of first_plus_last, kept where a cell has them.
ENDS = ("change_first", "change_last", "blinding_first", "blinding_last")


#: (member, probe, length).
Group = tuple[str, str, int]


def summed_up(
    cells: Sequence[Mapping[str, Any]], planned: Mapping[Group, int] | None = None
) -> dict[str, Any]:
    """`cells` by (member, probe, length), means over the seeds, `t50`, and how many cells are `missing`.

    cells: what `cell.json` holds, any number of seeds of each. planned: seeds that each should have, None: as
    many as it has. A seed that is not there counts as unsolved, since those that are solved end first; errors
    and costs are of the seeds that are there.
    """
    groups: dict[Group, list[Mapping[str, Any]]] = {}
    for cell in cells:
        groups.setdefault((cell["member"], cell["probe"], cell["length"]), []).append(cell)
    asked = {key: len(seeds) for key, seeds in groups.items()} if planned is None else dict(planned)
    rows = [_row(*key, seeds, asked[key]) for key, seeds in groups.items()]
    return {"cells": rows, "t50": t50(rows), "missing": sum(asked.values()) - len(cells)}


def t50(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """{member: {probe: longest length that half the seeds solve}}; 0: none of those that were tried."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        probes = found.setdefault(row["member"], {})
        solved = row["length"] if row["success_rate"] >= 0.5 else 0
        probes[row["probe"]] = max(probes.get(row["probe"], 0), solved)
    return found


def _row(
    member: str, probe: str, length: int, seeds: Sequence[Mapping[str, Any]], planned: int
) -> dict[str, Any]:
    solved = [cell for cell in seeds if cell["solved"]]
    row: dict[str, Any] = {
        "member": member,
        "probe": probe,
        "length": length,
        "parameters": seeds[0]["parameters"],
        "seeds": len(seeds),
        "missing": planned - len(seeds),
        "success_rate": len(solved) / planned,
        "error": _mean(cell["error"] for cell in seeds),
        "error_median": _median(cell["error"] for cell in seeds),
        "accuracy": _mean(cell["accuracy"] for cell in seeds),
        "chance": seeds[0]["chance"]["error"],
        "chance_accuracy": seeds[0]["chance"]["accuracy"],
        "chance_present": seeds[0]["chance"]["present"],
        "steps": statistics.mean(cell["steps"] for cell in seeds),
        "seconds": statistics.mean(cell["seconds"] for cell in seeds),
        "steps_to_solve": _median(cell["kept"] for cell in solved),
        "seconds_to_solve": _median(
            cell["seconds"] * cell["kept"] / max(cell["steps"], 1) for cell in solved
        ),
        "ended": [cell["ended"] for cell in seeds],
    }
    if any(ENDS[0] in cell for cell in seeds):  # a seed that diverged has none
        row |= {name: _median(cell[name] for cell in seeds if name in cell) for name in ENDS}
    if any("perplexity" in cell for cell in seeds):
        row["perplexity"] = None if row["error"] is None else math.exp(row["error"])
        row["chance_perplexity"] = math.exp(row["chance"])
    return row


def _mean(values: Iterable[float | None]) -> float | None:
    """None where a seed has no number: a mean over the others would flatter."""
    numbers = list(values)
    return None if None in numbers or not numbers else statistics.mean(numbers)  # type: ignore[type-var]


def _median(values: Iterable[float | None]) -> float | None:
    numbers = list(values)
    return None if None in numbers or not numbers else statistics.median(numbers)  # type: ignore[type-var]


def table_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Of a summary, for the terminal: a block a probe, a line a member, error and share solved by length."""
    cells = summary["cells"]
    for probe in dict.fromkeys(cell["probe"] for cell in cells):
        own = [cell for cell in cells if cell["probe"] == probe]
        lengths = sorted({cell["length"] for cell in own})
        yield ""
        yield (
            f"{probe:<24}{'parameters':>11}" + "".join(f"{length:>16}" for length in lengths) + f"{'T50':>7}"
        )
        if words := limits_words(summary, probe):
            yield words
        by_length = {cell["length"]: cell["chance"] for cell in own}
        yield f"{'chance':<35}" + "".join(f"{by_length[length]:>11.4g}     " for length in lengths)
        for member in dict.fromkeys(cell["member"] for cell in own):
            line = {cell["length"]: cell for cell in own if cell["member"] == member}
            count = next(iter(line.values()))["parameters"]
            shown = "".join(_shown(line.get(length)) for length in lengths)
            yield f"{member:<24}{count:>11,}{shown}{summary['t50'][member][probe]:>7}"
        for member, reasons in summary.get("not_applicable", {}).items():
            if probe in reasons:
                yield f"{member:<24}not applicable: {reasons[probe]}"
    if summary["missing"]:
        yield ""
        yield (
            f"{plural(summary['missing'], 'cell')} not there yet: in the shares and T50 they count as"
            " unsolved, errors are of those that are there; the same command goes on with them"
        )


def limits_words(summary: Mapping[str, Any], probe: str) -> str:
    """How long a cell of the probe may take; empty where the summary does not say."""
    limits = summary.get("limits", {}).get(probe)
    if limits is None:
        return ""
    steps, patience = limits["steps"], limits["patience"]
    given_up = f", given up after {patience:,} without one per cent of progress" if patience < steps else ""
    return f"at most {steps:,} steps{given_up}"


def _shown(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return f"{'-':>11}     "
    error = "diverged" if cell["error"] is None else f"{cell['error']:.3g}"
    return f"{error:>11}{100 * cell['success_rate']:>4.0f}%"
