"""Jaeger's memory capacity, where it is known: delay lines, leaky sums, networks of few units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.memory.capacity import capacity_of, memory_capacity
from models.network import NETWORKS, Network
from tests.batches import make_schema

SCHEMA = make_schema("sequence", known=2)


def noise(windows: int = 20, rows: int = 300, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (windows, rows))


def delayed(driven: np.ndarray, lag: int) -> np.ndarray:
    return np.pad(driven, ((0, 0), (lag, 0)))[:, : driven.shape[1]]


def build(name: str, **settings: Any) -> Network:
    torch.manual_seed(0)
    kind = NETWORKS.get(name)
    return kind(SCHEMA, kind.Config(**settings)).eval()


@pytest.mark.parametrize("taps", [1, 5, 12])
def test_a_delay_line_has_as_much_as_it_has_taps(taps: int) -> None:
    driven = noise()
    states = np.stack([delayed(driven, lag) for lag in range(1, taps + 1)], axis=2)
    found = memory_capacity(driven, states, lags=40)
    np.testing.assert_allclose(found.by_lag[1 : taps + 1], 1.0, atol=1e-3)
    assert found.by_lag[0] == 0.0
    assert (found.by_lag[taps + 1 :] == 0.0).all()
    assert found.capacity == pytest.approx(taps, abs=1e-2)
    assert found.units == taps


def test_mixed_taps_are_unmixed() -> None:
    """A readout is any linear map, so an invertible mixture of taps remembers as much."""
    driven = noise()
    states = np.stack([delayed(driven, lag) for lag in range(1, 9)], axis=2)
    states = states @ np.random.default_rng(1).normal(size=(8, 8)) + 3.0
    assert memory_capacity(driven, states, lags=40).capacity == pytest.approx(8.0, abs=0.01)


def test_one_leaky_sum_has_one() -> None:
    """x_t = a x_{t-1} + u_t: r^2 of delay k is (1 - a^2) a^(2 k), which with delay 0 sums to the one unit."""
    driven, leak = noise(windows=60), 0.8
    state = np.zeros_like(driven)
    for t in range(driven.shape[1]):
        state[:, t] = (leak * state[:, t - 1] if t else 0.0) + driven[:, t]
    found = memory_capacity(driven, state[:, :, None], lags=60)
    lag = np.arange(8)
    np.testing.assert_allclose(found.by_lag[:8], (1 - leak**2) * leak ** (2 * lag), atol=0.03)
    assert found.capacity == pytest.approx(leak**2, abs=0.06)


def test_noise_has_none() -> None:
    states = np.random.default_rng(2).normal(size=(20, 300, 10))
    assert memory_capacity(noise(), states, lags=100).capacity < 0.02


def test_a_constant_state_has_none() -> None:
    assert memory_capacity(noise(), np.ones((20, 300, 3)), lags=10).capacity == 0.0


@pytest.mark.parametrize("name", ["rnn", "lstm", "plstm", "janet"])
def test_of_recurrent_networks(name: str) -> None:
    network = build(name, hidden=6, layers=1)
    found = capacity_of(network, lags=40)
    assert found is not None
    assert 0.5 < found.capacity < 6.0
    assert found.by_lag.sum() < 6.2, "all delays together are at most the number of units"
    assert found.units == 6
    again = capacity_of(network, lags=40)
    assert again is not None
    np.testing.assert_array_equal(found.by_lag, again.by_lag)


def test_of_a_convolution_it_ends_with_what_it_sees() -> None:
    network = build("tcn", hidden=16, layers=2, kernel=2)
    found = capacity_of(network, lags=30)
    assert found is not None
    sees = 2 * (2 - 1) * (2**2 - 1)
    assert found.by_lag[1] > 0.3
    assert (found.by_lag[sees + 1 :] == 0.0).all()


def test_others_have_no_states_to_read() -> None:
    for name in ("tcnn", "transformer", "deepar"):
        assert capacity_of(build(name)) is None
