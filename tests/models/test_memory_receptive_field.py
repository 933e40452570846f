"""What convolutions can see, by formula, by derivative, and by altering what they should not see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from data.schema import InputSchema
from models.memory.gradient_by_lag import gradient_by_lag
from models.memory.receptive_field import ReceptiveField, change_beyond, receptive_field
from models.mixers.tcn import receptive_field as rows_of_tcn
from models.network import NETWORKS, Network
from tests.batches import make_batch, make_schema

SCHEMA = make_schema("sequence", context=50, horizon=10)


def build(name: str, schema: InputSchema = SCHEMA, **settings: Any) -> Network:
    """With positive weights (and inputs), so that no ReLU shuts and every path counts."""
    torch.manual_seed(0)
    kind = NETWORKS.get(name)
    network = kind(schema, kind.Config(hidden=6, static_width=8, **settings) if settings else kind.small())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().clamp_(min=0.01)
        for module in network.modules():
            if isinstance(module, nn.LayerNorm):
                module.bias.fill_(1.0)
    return network.eval()


@pytest.mark.parametrize(("layers", "kernel"), [(1, 2), (2, 3), (3, 2), (3, 4)])
def test_tcn(layers: int, kernel: int) -> None:
    network = build("tcn", layers=layers, kernel=kernel)
    field = receptive_field(network)
    assert field == ReceptiveField(2 * (kernel - 1) * (2**layers - 1), 0)
    assert field.rows == rows_of_tcn(layers, kernel)
    batch = make_batch(SCHEMA, windows=6)
    batch = batch._replace(real=batch.real.abs())
    measured = gradient_by_lag(network, [batch])
    assert int(np.flatnonzero(measured.total)[-1]) == field.back
    assert change_beyond(network, batch, field) == 0.0
    smaller = change_beyond(network, batch, ReceptiveField(field.back - 1, 0))
    assert smaller is not None
    assert smaller > 0.0


def test_centred_tcn() -> None:
    network = build("tcn", layers=2, kernel=4, centred=True)
    field = receptive_field(network)
    assert field is not None
    assert field.back > 0
    assert field.ahead > field.back
    assert field.rows == rows_of_tcn(2, 4)
    batch = make_batch(SCHEMA, windows=6)
    batch = batch._replace(real=batch.real.abs())
    assert change_beyond(network, batch, field) == 0.0
    for smaller in (ReceptiveField(field.back - 1, field.ahead), ReceptiveField(field.back, field.ahead - 1)):
        change = change_beyond(network, batch, smaller)
        assert change is not None
        assert change > 0.0


def test_stacks_of_convolutions_add_up() -> None:
    entries = [
        {"name": "conv", "hidden": 6, "layers": 2, "kernel": 3, "causal": True},
        {"name": "wavenet", "hidden": 6, "levels": 3, "stacks": 2, "kernel": 2},
    ]
    torch.manual_seed(0)
    kind = NETWORKS.get("stack")
    network = kind(SCHEMA, kind.Config(mixers=entries, static_width=8)).eval()
    field = receptive_field(network)
    assert field == ReceptiveField(2 * 2 + 2 * (1 + 2 + 4), 0)
    batch = make_batch(SCHEMA, windows=6)
    assert change_beyond(network, batch, field) == 0.0
    measured = gradient_by_lag(network, [batch])
    assert int(np.flatnonzero(measured.total)[-1]) == field.back


@pytest.mark.parametrize("name", ["lstm", "plstm", "transformer", "cnn_lstm", "tcnn", "deepar"])
def test_others_are_bounded_by_the_window_only(name: str) -> None:
    assert receptive_field(build(name)) is None


def test_an_added_naive_forecast_sees_the_history() -> None:
    schema = make_schema("horizon")
    assert receptive_field(build("tcn", schema, layers=1)) is not None
    assert receptive_field(build("tcn", schema, layers=1, add_last="last")) is None


def test_a_window_within_the_field_tells_nothing() -> None:
    network = build("tcn", layers=7, kernel=3, centred=True)
    field = receptive_field(network)
    assert field is not None
    assert min(field) > SCHEMA.length
    assert change_beyond(network, make_batch(SCHEMA), field) is None
