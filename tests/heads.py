"""Heads for tests: what they cannot be made without."""

from __future__ import annotations

from typing import Any

from data.schema import InputSchema
from models.heads import Head, choose_head

SETTINGS: dict[str, dict[str, Any]] = {
    "bins": {"start": -2.0, "step": 0.1, "count": 41},
    "classes": {"count": 4},
}


def make_head(name: str, schema: InputSchema, **settings: Any) -> Head:
    """The head called `name`, with `settings` over those that it needs."""
    return choose_head(name, schema, {**SETTINGS.get(name, {}), **settings})
