"""Networks with about as many parameters as asked: probes then compare what they are, not their size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from data.errors import InputError
from data.probes.base import Probe
from models.network import NETWORKS
from pipeline.probing.cell import forecaster_for

#: Settings that widen a network: all of the first kind that it has are set alike.
WIDTHS = (("hidden", "channels", "filters"), ("width",))
LARGEST = 4096
#: Heads of attention and the like want a width that is a multiple of something small.
MULTIPLES = (1, 2, 4, 8, 16)


def parameters_of(probe: Probe, length: int, network: str, settings: dict[str, Any]) -> int:
    """Of the whole forecaster."""
    forecaster = forecaster_for(probe, length, network, settings, None, 0)
    return sum(one.numel() for one in forecaster.parameters())


def sized(probe: Probe, length: int, network: str, settings: dict[str, Any], wanted: int) -> dict[str, Any]:
    """`settings` with the width whose number of parameters is nearest to `wanted`.

    Raises InputError where no setting widens the network.
    """
    own = {field.name for field in fields(NETWORKS.get(network).Config)}
    names = next((found for group in WIDTHS if (found := [name for name in group if name in own])), None)
    if names is None:
        raise InputError(f"probe.parameters={wanted}: {network} has no setting that makes it wider")

    def widened(number: int) -> dict[str, Any]:
        return {**settings, **dict.fromkeys(names, number)}

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
    return widened(nearest * multiple)


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
