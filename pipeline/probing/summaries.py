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


def suite_of_members(competition: str) -> str:
    """The suite that probe=members writes: a competition's members as they compete there."""
    return f"members_of_{competition}"


def summaries(artifacts: Path) -> dict[str, dict[str, Any]]:
    """Summaries by suite of the root whose `artifacts` folder this is; what is not whole is left out."""
    store = ArtifactStore(artifacts / FOLDER)
    found = {}
    for file in sorted(store.root.glob(f"*/{SUMMARY}")):
        suite = file.parent.name
        if not suite.startswith(".") and store.manifest(suite) is not None:
            found[suite] = json.loads(file.read_text(encoding="utf-8"))
    return found


def t50_of_members(
    artifacts: Path, kinds: Mapping[str, str], own: str = ""
) -> dict[str, dict[str, dict[str, Any]]]:
    """{member: {probe: {length, tried, suite, row}}}; kinds: kind of each member by its name.

    A member's row in a suite is that of its own name, else that of its kind, if the network there is of its
    kind. All members have a probe's figures from one suite, since suites differ in steps, sizes and lengths:
    from the one with the most of them, of several the competition's `own` one, then the one that tried the
    longest windows, then by name.
    `length` is T50 (0: none of those `tried`).
    """
    by_probe: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}  # probe: suite: member
    for suite, summary in summaries(artifacts).items():
        for member, kind in kinds.items():
            for row in dict.fromkeys((kind, member)):  # that of its own name comes last and stays
                if summary.get("members", {}).get(row) == kind:
                    for probe, entry in _t50_of_row(summary, row).items():
                        of_probe = by_probe.setdefault(probe, {}).setdefault(suite, {})
                        of_probe[member] = {**entry, "suite": suite, "row": row}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for probe, suites in sorted(by_probe.items()):
        chosen = min(
            suites,
            key=lambda suite: (-len(suites[suite]), suite != own, -_longest(suites[suite]), suite),
        )
        for member, entry in suites[chosen].items():
            found.setdefault(member, {})[probe] = entry
    return found


def _t50_of_row(summary: Mapping[str, Any], row: str) -> dict[str, dict[str, Any]]:
    """{probe: {length, tried}}."""
    tried: dict[str, set[int]] = {}
    for cell in summary["cells"]:
        if cell["member"] == row:
            tried.setdefault(cell["probe"], set()).add(cell["length"])
    return {
        probe: {"length": length, "tried": sorted(tried[probe])}
        for probe, length in summary["t50"].get(row, {}).items()
    }


def _longest(entries: Mapping[str, Mapping[str, Any]]) -> int:
    """Of all that its rows tried."""
    return max(entry["tried"][-1] for entry in entries.values())
