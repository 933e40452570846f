"""How far back networks remember, beside what was published: adding and copy memory.

    python -m benchmarks.probes [--budget 3h] [--root FOLDER] [--json FILE] [--words probe.seeds=1 ...]

Runs the suite pipeline/conf/probe/long.yaml as a user would (stage=probe probe=long), in its own process.
Cells that are finished under --root are kept: a call that ran out of its budget goes on where it stopped,
and one with nothing left to do prints at once.

Beside Bai, Kolter and Koltun (2018) stand the figures of their table 1; theirs are of one run, ours means
over seeds, of which each ends as soon as it is solved: where both are small, the lower one was trained
for longer. Beside the pLSTM paper (Chien et al. 2021) stand its 10,000 training windows of copy memory,
its 128 units and its goal, an accuracy of 0.999 on the ten symbols; its RMSprop at 1e-3 and its batches of
128 are not what is run here (long.yaml says what is).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.probes.base import Probe
from data.probes.copy import CONVERGED
from data.probes.judged import Published
from pipeline.compose import compose
from pipeline.probing.rows import labelled
from pipeline.probing.summaries import FOLDER, SUMMARY
from pipeline.probing.table import table_lines

SUITE = "long"

#: Where the pLSTM paper's protocol stands in the suite.
PROTOCOL = "copy-training_size=10000-goal=converged"

#: Ratios of errors that differ from 1 by less are called the same.
CLOSE = 0.05


def beside(summary: Mapping[str, Any], probes: Mapping[str, Probe]) -> list[dict[str, Any]]:
    """Our cells and the published figures of the same network, length and metric, one entry a pair.

    probes: by label, as in the summary. A figure without a length stands beside every length; one that says
    from which length on it holds, in its setting, beside the lengths from there on (`bound`).
    """
    pairs = []
    for cell in summary["cells"]:
        for figure in probes[cell["probe"]].published_here:
            if figure.model != cell["member"] or not _is_about(figure, cell["length"]):
                continue
            ours = cell.get("error" if figure.metric == "error" else "accuracy")
            pairs.append(
                {
                    "member": cell["member"],
                    "probe": cell["probe"],
                    "length": cell["length"],
                    "metric": figure.metric,
                    "published": figure.value,
                    "bound": _is_bound(figure),
                    "published_parameters": figure.parameters,
                    "ours": ours,
                    "parameters": cell["parameters"],
                    "source": figure.source,
                }
            )
    return pairs


def _is_bound(figure: Published) -> bool:
    """Whether it says that a model is below a value from a length on, not what it gets at one."""
    return figure.setting.startswith("falls below")


def _is_about(figure: Published, length: int) -> bool:
    if figure.metric not in ("error", "accuracy"):
        return False
    if figure.length is None:
        return True
    return length >= figure.length if _is_bound(figure) else length == figure.length


def difference(pair: Mapping[str, Any]) -> str:
    """By how much ours is not theirs, in words."""
    ours, theirs = pair["ours"], pair["published"]
    if ours is None:
        return "ours diverged"
    if pair["metric"] == "error":
        ratio = ours / theirs
        if abs(ratio - 1) < CLOSE:
            return f"the same within {100 * CLOSE:.0f} %"
        return f"{ratio:.2g} times theirs" if ratio >= 1 else f"{1 / ratio:.2g} times less than theirs"
    if pair["bound"]:
        return "as they say" if ours < theirs else f"{ours - theirs:.3f} above their bound"
    return "the same" if abs(ours - theirs) < 5e-4 else f"{ours - theirs:+.3f}"


def beside_lines(pairs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The published table and ours, a line a pair."""
    yield ""
    yield (
        f"{'beside what was published':<34}{'T':>6}{'metric':>10}{'theirs':>10}{'parameters':>12}"
        f"{'ours':>10}{'parameters':>12}   difference"
    )
    for pair in pairs:
        theirs = f"{'< ' if pair['bound'] else ''}{pair['published']:.3g}"
        count = pair["published_parameters"]
        ours = "-" if pair["ours"] is None else f"{pair['ours']:.3g}"
        yield (
            f"{pair['probe'] + ', ' + pair['member']:<34}{pair['length']:>6}{pair['metric']:>10}{theirs:>10}"
            f"{'-' if count is None else format(count, ','):>12}{ours:>10}{pair['parameters']:>12,}"
            f"   {difference(pair)}"
        )
    yield from dict.fromkeys(f"  {pair['source']}" for pair in pairs)


def protocol_lines(summary: Mapping[str, Any], label: str = PROTOCOL) -> Iterator[str]:
    """The pLSTM paper's copy: accuracy on the ten symbols and share of converged seeds, by row and T."""
    cells = [cell for cell in summary["cells"] if cell["probe"] == label]
    if not cells:
        return
    lengths = sorted({cell["length"] for cell in cells})
    yield ""
    yield (
        "the pLSTM paper's copy protocol: accuracy on the ten symbols, mean over the seeds, and the share of"
        f" them that converges ({CONVERGED} or more)"
    )
    yield f"{'T':<24}" + "".join(f"{length:>16}" for length in lengths)
    accuracies = {(cell["member"], cell["length"]): cell["accuracy"] for cell in cells}
    for member in dict.fromkeys(cell["member"] for cell in cells):
        by = {cell["length"]: cell for cell in cells if cell["member"] == member}
        yield f"{member:<24}" + "".join(f"{_accuracy(by.get(length)):>16}" for length in lengths)
    chance = cells[0]["chance_accuracy"]
    yield f"{'chance':<24}" + "".join(f"{chance:>11.4f}     " for _ in lengths)
    for member, kind in summary["members"].items():
        if kind == "plstm" and any((member, length) in accuracies for length in lengths):
            short = "".join(f"{_less(accuracies.get((member, length))):>11}     " for length in lengths)
            yield f"{member + ' less theirs':<24}{short}"
    yield f"  Chien et al. 2021, arXiv 2105.05944: trained until {CONVERGED} is reached, at T in hundreds"


def _accuracy(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "-     "
    accuracy = "diverged" if cell["accuracy"] is None else f"{cell['accuracy']:.4f}"
    return f"{accuracy}{100 * cell['success_rate']:>4.0f}%"


def _less(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{min(0.0, accuracy - CONVERGED):+.4f}"


def figures(summary: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What --json writes."""
    return {
        "suite": summary["suite"],
        "cells": summary["cells"],
        "t50": summary["t50"],
        "beside": list(pairs),
    }


def run(root: Path, words: Sequence[str]) -> dict[str, Any]:
    """The suite's summary, after training what is not there yet. SystemExit as the child's, if it fails."""
    child = subprocess.run([sys.executable, "-m", "pipeline.run", *words], check=False, stdout=sys.stderr)
    if child.returncode:
        sys.exit(child.returncode)
    summary: dict[str, Any] = json.loads((root / "artifacts" / FOLDER / SUITE / SUMMARY).read_text())
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", default="3h", help="as 3h or 90m; what is finished by then is kept")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--json", type=Path, help="write the cells, t50 and the pairs here too")
    parser.add_argument("--words", nargs="*", default=[], help="further words of the command line")
    options = parser.parse_args()
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json {options.json}: there is no folder {options.json.parent}")
    root = options.root.resolve()
    words = ["stage=probe", f"probe={SUITE}", f"budget={options.budget}", f"root={root}", *options.words]
    try:
        config = compose(words)
    except InputError as error:
        parser.error(str(error))
    probes = {label: probe for label, (_, probe) in labelled(config).items()}
    summary = run(root, words)
    pairs = beside(summary, probes)
    for line in (*table_lines(summary), *beside_lines(pairs), *protocol_lines(summary)):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(figures(summary, pairs), indent=2) + "\n")


if __name__ == "__main__":
    main()
