"""What suites of probes have found out about a competition's members: T50, where there is a row of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.store import ArtifactStore

#: Where suites lie, beside the competitions.
FOLDER = "probe"
SUMMARY = "summary.json"


def summaries(artifacts: Path) -> dict[str, dict[str, Any]]:
    """Summaries by suite of the root whose `artifacts` folder this is; what is not whole is left out."""
    store = ArtifactStore(artifacts / FOLDER)
    found = {}
    for file in sorted(store.root.glob(f"*/{SUMMARY}")):
        suite = file.parent.name
        if not suite.startswith(".") and store.manifest(suite) is not None:
            found[suite] = json.loads(file.read_text(encoding="utf-8"))
    return found


def t50_of_members(artifacts: Path, kinds: Mapping[str, str]) -> dict[str, dict[str, dict[str, Any]]]:
    """{member: {probe: {length, tried, suite, row}}}; kinds: kind of each member by its name.

    A row whose network is of the member's kind stands above one that only has its name, the member's own name
    above that of its kind, and of several suites the one that tried the longest windows. `length` is T50 (0:
    none of those `tried`).
    """
    suites = summaries(artifacts)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for member, kind in kinds.items():
        best: dict[str, tuple[tuple[bool, bool, int], dict[str, Any]]] = {}
        for suite, summary in suites.items():
            for row in dict.fromkeys((member, kind)):
                for probe, length in summary["t50"].get(row, {}).items():
                    tried = sorted(
                        {
                            cell["length"]
                            for cell in summary["cells"]
                            if cell["member"] == row and cell["probe"] == probe
                        }
                    )
                    rank = (summary.get("members", {}).get(row, kind) == kind, row == member, tried[-1])
                    entry = {"length": length, "tried": tried, "suite": suite, "row": row}
                    if probe not in best or rank > best[probe][0]:
                        best[probe] = (rank, entry)
        if best:
            found[member] = {probe: entry for probe, (_, entry) in sorted(best.items())}
    return found
