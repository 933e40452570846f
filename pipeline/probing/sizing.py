"""Networks with about as many parameters as asked: probes then compare what they are, not their size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch

from data.errors import InputError
from data.probes.base import Probe
from models.mixers.base import MIXERS
from models.network import NETWORKS
from pipeline.probing.cell import forecaster_for

#: Settings that widen a network: all of the first kind that it has, or a stack's mixers have, are set alike.
WIDTHS = (("hidden", "channels", "filters"), ("width",))
LARGEST = 4096
#: Share of the count that was asked for by which a network may differ and still be called of that size.
TOLERANCE = 0.2
#: Heads of attention and the like want a width that is a multiple of something small.
MULTIPLES = (1, 2, 4, 8, 16)


def parameters_of(probe: Probe, length: int, network: str, settings: dict[str, Any]) -> int:
    """Of the whole forecaster."""
    try:
        with torch.device("meta"):  # shapes alone: nothing is drawn or filled
            forecaster = forecaster_for(probe, length, network, settings, None, 0)
    except RuntimeError:  # a network that reads values while it is made
        forecaster = forecaster_for(probe, length, network, settings, None, 0)
    return sum(one.numel() for one in forecaster.parameters())


def sized(probe: Probe, length: int, network: str, settings: dict[str, Any], wanted: int) -> dict[str, Any]:
    """`settings` with the width whose number of parameters is nearest to `wanted`.

    Raises InputError where no setting widens the network, and where it cannot be of about that size.
    """
    place = f"probe.parameters={wanted}: {network}"
    mixers = [_named(entry) for entry in settings.get("mixers", ())]
    by_mixer = [_widths(MIXERS.get(str(entry["name"])).Config) for entry in mixers]
    names = [] if any(by_mixer) else _widths(NETWORKS.get(network).Config)
    if not names and not any(by_mixer):
        raise InputError(f"{place} has no setting that makes it wider")

    def widened(number: int) -> dict[str, Any]:
        wide: dict[str, Any] = {**settings, **dict.fromkeys(names, number)}
        if mixers:
            wide["mixers"] = [
                {**entry, **dict.fromkeys(own, number)} for entry, own in zip(mixers, by_mixer, strict=True)
            ]
        return wide

    def count(number: int) -> int:
        return parameters_of(probe, length, network, widened(number * multiple))

    multiple = _multiple(probe, length, network, widened)

    low, high = 1, 1
    while count(high) < wanted and high * multiple < LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < wanted else (low, middle)
    nearest = min((low, high), key=lambda number: abs(count(number) - wanted))
    if abs(count(nearest) - wanted) > TOLERANCE * wanted:
        found = f"the nearest that there is has {count(nearest):,}"
        raise InputError(f"{place} on {probe.title}, length {length}: {found}")
    return widened(nearest * multiple)


def _widths(config: type) -> list[str]:
    """Settings that make a network or a mixer wider."""
    own = {field.name for field in fields(config)}
    return next((found for group in WIDTHS if (found := [name for name in group if name in own])), [])


def _named(entry: Any) -> dict[str, Any]:
    """A mixer of a stack's list: its name beside its settings."""
    return {"name": entry} if isinstance(entry, str) else dict(entry)


def _multiple(probe: Probe, length: int, network: str, widened: Callable[[int], dict[str, Any]]) -> int:
    """Of what a width has to be a multiple: the first that is not refused."""
    for multiple in MULTIPLES:
        try:
            for number in (1, 3):
                parameters_of(probe, length, network, widened(number * multiple))
        except InputError:
            if multiple == MULTIPLES[-1]:
                raise
        else:
            return multiple
    raise AssertionError("unreachable")
