"""All that the page of a suite shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from data.probes.base import Probe
from pipeline.report.material import COLOURS


@dataclass(frozen=True)
class SuiteMaterial:
    """A suite with its cells, as far as they are done."""

    suite: str
    command: str
    summary: dict[str, Any]  # as in summary.json
    cells: Sequence[dict[str, Any]]  # cell.json of every seed, with its probe and member
    probes: dict[str, Probe]  # by label
    memory: dict[tuple[str, str], dict[str, Any]]  # (probe, member): memory.json, with its length and seed

    @cached_property
    def members(self) -> list[str]:
        """Rows of the tables, in the suite's order."""
        return list(self.summary["members"])

    def kind(self, member: str) -> str:
        """Of a row's network."""
        return str(self.summary["members"][member])

    def members_of(self, probe: str) -> list[str]:
        """Those that have finished a cell of the probe."""
        known = {member for member, _ in self.rows(probe)}
        return [member for member in self.members if member in known]

    def colour(self, member: str) -> str:
        """CSS classes of its lines and dots."""
        number = self.members.index(member)
        return f"m{number % COLOURS}" + (" again" if number >= COLOURS else "")

    def rows(self, probe: str) -> dict[tuple[str, int], dict[str, Any]]:
        """(member, length): its cells summed up."""
        return {
            (cell["member"], cell["length"]): cell for cell in self.summary["cells"] if cell["probe"] == probe
        }

    def lengths(self, probe: str) -> list[int]:
        """That somebody has finished."""
        return sorted({length for _, length in self.rows(probe)})

    def tried(self, probe: str, member: str) -> list[int]:
        """Lengths that a member has finished."""
        return sorted({length for name, length in self.rows(probe) if name == member})

    def t50(self, probe: str, member: str) -> int | None:
        """Longest length that half its seeds solve, 0 for none; None where it was not tried."""
        found = self.summary["t50"].get(member, {}).get(probe)
        return None if found is None else int(found)
