"""Every executor as parameters of a test; ray is skipped, with a reason, where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from pipeline.executor import EXECUTORS

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


def every_executor(*, slow: tuple[str, ...] = ()) -> list[Any]:
    """For pytest.mark.parametrize; slow: those that take too long for the fast tests here."""
    return [
        pytest.param(
            name,
            marks=[*([needs_ray] if name == "ray" else []), *([pytest.mark.slow] if name in slow else [])],
        )
        for name in EXECUTORS.names()
    ]
