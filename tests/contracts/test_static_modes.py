"""Every network with a `static_state`: each mode does what it says, for every layer and direction."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from data.batch import SequenceBatch
from models.network import NETWORKS, Network
from models.static_state import MODES, StaticState
from tests.batches import make_batch, make_schema, perturb

#: With metadata: in the states, or in the inputs.
TELLING = ("state", "concatenate", "both")

CASES = [
    pytest.param(name, config, id=f"{name}-{index}")
    for name, kind in NETWORKS.items()
    for index, config in enumerate(kind.variants())
    if any(field.name == "static_state" for field in fields(config))
]


def build(name: str, config: Any, mode: str) -> tuple[Network, SequenceBatch]:
    kind = NETWORKS.get(name)
    schema = make_schema(kind.tasks[-1])
    torch.manual_seed(0)
    network = kind(schema, replace(config, static_state=mode))
    perturb(network)
    return network, make_batch(schema, windows=8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "config"), CASES)
def test_metadata_is_read_in_the_modes_that_say_so(name: str, config: Any, mode: str) -> None:
    network, batch = build(name, config, mode)
    network.eval()
    other = batch._replace(static_real=batch.static_real + 1.0)
    with torch.no_grad():
        moved = (network(batch) - network(other))[batch.asked].abs().max()
    assert (float(moved) > 1e-7) is (mode in TELLING)


@pytest.mark.parametrize("mode", ["state", "both", "learned"])
@pytest.mark.parametrize(("name", "config"), CASES)
def test_every_state_of_every_layer_and_direction_is_learnt(name: str, config: Any, mode: str) -> None:
    network, batch = build(name, config, mode)
    network.train().taught(batch)[batch.asked].square().sum().backward()
    for part in network.modules():
        if not isinstance(part, StaticState):
            continue
        sizes = [math.prod(shape) for of_mixer in part.shapes for shape in of_mixer]
        if not sizes:
            continue
        emitted = part.learned if mode == "learned" else part.to_state
        assert emitted is not None, "the states do not come from the metadata"
        weight = emitted if isinstance(emitted, torch.nn.Parameter) else emitted.weight
        assert weight.grad is not None
        for place, gradient in enumerate(weight.grad.split(sizes)):
            assert gradient.abs().max() > 0, f"state {place} of {len(sizes)}"
