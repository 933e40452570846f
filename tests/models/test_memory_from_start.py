"""What is left of a cell's first content: closed forms where the gates are held, and means over windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.kernels.reference import EPSILON
from models.memory.closed_forms import exponential_retention, power_law_retention
from models.memory.forget_gates import forget_gates
from models.memory.from_start import from_start
from tests.batches import make_batch
from tests.models.test_memory_retention import ROWS, SCHEMA, SHUT, build

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_gates_that_see_nothing_are_exponential() -> None:
    network: Any = build("lstm", layers=1)
    block: Any = network.mixers[0].blocks[0]
    forget = torch.linspace(0.5, 0.99, 6)
    with torch.no_grad():
        for name, weight in block.named_parameters():
            weight[6:12] = forget.logit() if name == "bias_ih_l0" else 0.0
    [layer] = from_start(network, [make_batch(SCHEMA, windows=5)])
    expected = np.mean([exponential_retention(layer.row, one) for one in forget.double().tolist()], axis=0)
    np.testing.assert_allclose(layer.kept, expected, atol=1e-6)
    np.testing.assert_allclose(layer.exponential, expected, atol=1e-6)
    assert layer.power_law is None


def test_a_shut_reset_gate_is_a_power_law_and_no_exponential() -> None:
    network: Any = build("plstm", layers=1, static_state="none")  # which would set the clock
    cell: Any = network.mixers[0].cells[0][0]
    with torch.no_grad():
        cell.bias[:6] = SHUT
    batch = make_batch(SCHEMA, windows=5, even=True)
    [layer] = from_start(network, [batch])
    power = cell.raw_power.detach().double().sigmoid().tolist()
    expected = np.mean([power_law_retention(layer.row, one, 0.0, EPSILON) for one in power], axis=0)
    assert len(layer.kept) == ROWS + 1
    np.testing.assert_allclose(layer.kept, expected, atol=1e-5)
    assert layer.power_law is not None
    np.testing.assert_allclose(layer.power_law, expected, atol=1e-12)
    assert np.abs(layer.exponential - expected).max() > 0.05


def test_an_open_reset_gate_falls_faster_than_its_power_law() -> None:
    layers = from_start(build("plstm", static_state="none"), [make_batch(SCHEMA, windows=5)])
    assert [layer.layer for layer in layers] == ["mixers.0 layer 0", "mixers.0 layer 1"]
    for layer in layers:
        assert layer.power_law is not None
        assert (layer.kept <= layer.power_law + 1e-9).all()
        assert layer.kept[20] < 0.9 * layer.power_law[20]


def test_windows_of_unequal_length_count_as_far_as_they_go() -> None:
    network = build("janet", layers=1)
    batch = make_batch(SCHEMA, windows=6)
    assert len(batch.length.unique()) > 1
    [layer] = from_start(network, [batch, batch.select(torch.arange(3))])
    [gates] = forget_gates(network, batch)
    twice = [0, 1, 2, 0, 1, 2, 3, 4, 5]
    for row in (1, 17, ROWS):
        products = [
            gates.log_forget[window, :row].sum(0).exp().mean().item()
            for window in twice
            if int(batch.length[window]) >= row
        ]
        assert layer.kept[row] == pytest.approx(np.mean(products), abs=1e-9)


def test_a_network_without_gates() -> None:
    assert from_start(build_tcn(), [make_batch(SCHEMA, windows=2)]) == []


def build_tcn() -> Any:
    from models.network import NETWORKS

    kind = NETWORKS.get("tcn")
    return kind(SCHEMA, kind.small()).eval()
