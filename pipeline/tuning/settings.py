"""A trial's settings as they may stand at member.<name>, and as flat names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.names import OWN_GROUPS as GROUPS


def flat(space: Mapping[str, Any]) -> dict[str, Any]:
    """{'fit': {'learning_rate': x}} as {'fit.learning_rate': x}; keys with dots stay."""
    found: dict[str, Any] = {}
    for key, given in space.items():
        if key in GROUPS and isinstance(given, Mapping):
            found |= {f"{key}.{name}": value for name, value in given.items()}
        else:
            found[str(key)] = given
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{'fit.learning_rate': x} as {'fit': {'learning_rate': x}}."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        group, dot, name = key.partition(".")
        if dot and group in GROUPS:
            found.setdefault(group, {})[name] = value
        else:
            found[key] = value
    return found


def merged(settings: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A member's settings with a trial's nested `params` above them; the groups are merged by key."""
    result = {**settings, **{key: value for key, value in params.items() if key not in GROUPS}}
    for group in GROUPS:
        if params.get(group):
            result[group] = {**(settings.get(group) or {}), **params[group]}
    return result
