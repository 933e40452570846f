"""What a draft is made of: values by key, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Guesses:
    """Keys of the competition YAML in its order: value and reason (one line, '' where it is plain)."""

    name: str
    entries: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def set(self, key: str, value: Any, reason: str = "") -> None:
        """Enter a guess."""
        self.entries[key] = (value, reason)

    def value(self, key: str) -> Any:
        """The value guessed for a key."""
        return self.entries[key][0]

    def summary(self) -> list[str]:
        """The main guesses, a line each, for the terminal."""
        lines = []
        for key in ("task", "row_id", "series", "time", "frequency", "target", "horizon", "metric"):
            value, reason = self.entries[key]
            shown = (
                value
                if not isinstance(value, list)
                else ", ".join(str(_plain(item)) for item in value) or "none"
            )
            lines.append(
                f"{key:10} {'null' if shown is None else shown}" + (f"  ({reason})" if reason else "")
            )
        return lines


def _plain(value: Any) -> Any:
    return value["name"] if isinstance(value, dict) else value
