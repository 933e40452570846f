"""What a check has to say: one line for people, the same in parts for files and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing worth a look. It never ends a run by itself."""

    check: str  # adversarial, drift, target, leak, order, duplicates
    level: Literal["warning", "note"]  # a note is what to know, a warning what to do something about
    what: str
    figure: str
    why: str
    to_do: str

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{self.what} ({self.figure}): {self.why}; {self.to_do}"
