"""The time a command may take: one deadline that all its stages share."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.ranges import budget_seconds


@dataclass(frozen=True)
class Budget:
    """Ends at `end`, in time.time() so that workers on other machines read it too."""

    end: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """From 90s, 30m, 2h or 1h30m, counted from now. Raises InputError for anything else."""
        return cls(time.time() + budget_seconds(text))

    def left(self) -> float:
        """Seconds, 0 once it is over."""
        return max(0.0, self.end - time.time())
