"""What a probe of a suite has of its own (probe.own.LABEL), above what the suite says of all its probes.

Light: read before torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from data.errors import InputError
from pipeline.config import Config

#: Of the run's own `fit`, what cells read too: where they run, not how they learn.
RUNNING = ("threads", "deterministic", "device")


def config_for(config: Config, label: str) -> Config:
    """The configuration as one probe sees it: what it has of its own merged into `config.probe`."""
    own = config.probe.own.get(label) or {}
    changes: dict[str, Any] = {key: value for key, value in own.items() if value is not None}
    if "fit" in changes:
        changes["fit"] = {**config.probe.fit, **own["fit"]}
    if "member" in changes:
        changes["member"] = _merged(config.probe.member, own["member"])
    return replace(config, probe=replace(config.probe, own={}, **changes))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of rows above settings of rows; their `fit` is merged too."""
    merged = {name: dict(settings) for name, settings in below.items()}
    for name, settings in above.items():
        under = merged.setdefault(name, {})
        fit = {**(under.get("fit") or {}), **(settings.get("fit") or {})}
        under.update(settings)
        if fit:
            under["fit"] = fit
    return merged


def refuse_fit(overridden: Sequence[str]) -> None:
    """InputError for a word of the command line about a competition's fits: no probe reads it."""
    for key in overridden:
        group, _, name = key.partition(".")
        if group == "fit" and name not in RUNNING:
            raise InputError(
                f"{key}: no probe reads it; expected probe.{key} for how the cells of a suite are fitted,"
                f" or one of {', '.join(f'fit.{one}' for one in RUNNING)}"
            )


def give_way(own: Mapping[str, Any], overridden: Sequence[str]) -> dict[str, Any]:
    """`own` without what the command line says of all probes: probe.steps=10 means every probe's.

    overridden: the keys of the command line, dotted. What it says of one probe stays.
    """
    given = [key.removeprefix("probe.") for key in overridden if key == "members" or key.startswith("probe.")]
    left = {}
    for label, settings in own.items():
        spoken_of = any(key == "own" or f"{key}.".startswith(f"own.{label}.") for key in given)
        left[label] = settings if spoken_of else _without(settings, given)
    return left


def _without(settings: Any, given: Sequence[str], prefix: str = "") -> Any:
    """Nested settings without those whose dotted key is among `given`."""
    if not isinstance(settings, Mapping):
        return settings
    return {
        key: _without(value, given, f"{prefix}{key}.")
        for key, value in settings.items()
        if f"{prefix}{key}" not in given
    }
