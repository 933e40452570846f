"""Jobs of the toy stages (see toy_stages.py, which is a plugin)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.stage import Job

PLUGIN = Path(__file__).resolve().parent / "toy_stages.py"


def toy(
    path: str, *inputs: str, steps: int = 3, details: dict[str, Any] | None = None, **settings: Any
) -> Job:
    """A job of the stage `toy`."""
    everything = {"plugins": [str(PLUGIN)], **(details or {})}
    return Job("toy", path, {"steps": steps, **settings}, inputs, 1, path, everything)
