"""Where tests find real competition data, which the repository must not carry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """The file or folder `name` under $FORECAST_DATA or ../shared/data; where it is absent the test skips."""
    root = Path(os.environ["FORECAST_DATA"]) if os.environ.get("FORECAST_DATA") else _BESIDE
    path = root / name
    if not path.exists():
        pytest.skip(f"real data {name} is not in {root}; set FORECAST_DATA to the folder that has it")
    return path
