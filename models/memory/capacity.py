"""Jaeger's memory capacity: how many past values of a random input can be read off a network's states.

    MC = sum_{k >= 1} r^2(u(t - k), y_k(t)),    y_k(t) = w_k . h(t)

(Jaeger 2001, "Short term memory in echo state networks", GMD report 152.) u is independent noise, h the
states, and w_k a linear readout of each delay k, fitted by ridge regression on some windows and judged on
others. It is at most the number of units. Delays whose r^2 chance alone could give count as nothing, or many
delays would add up to a memory of their own (Dambre, Verstraeten, Schrauwen and Massar 2012, "Information
processing capacity of dynamical systems", Scientific Reports 2, 514).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor

from data.batch import SequenceBatch
from data.schema import InputSchema
from models.forecaster import Forecaster
from models.memory.at_rest import at_rest, network_of
from models.memory.receptive_field import is_plain
from models.network import Network
from models.networks.stack import Stack

#: Probability that chance gives a delay a larger r^2 than is counted as nothing.
BY_CHANCE = 1e-4

#: How many are driven, and the rows of each that are read: their half outnumbers the units many times.
WINDOWS, ROWS = 32, 256

#: Delays that are worth a look: what is further back hardly adds to it.
MOST_DELAYS = 100


class MemoryCapacity(NamedTuple):
    """r^2 by delay and their sum."""

    by_lag: np.ndarray  # (lags + 1,): r^2 of delay 0 (the present, no memory), 1, ..
    capacity: float  # the sum from delay 1 on
    units: int  # its upper bound


def memory_capacity(driven: np.ndarray, states: np.ndarray, lags: int, ridge: float = 1e-6) -> MemoryCapacity:
    """driven: (N, L) independent noise u; states: (N, L, units) of N >= 2 windows, L > `lags` rows.

    The first half of the windows is fitted, the second judged. ridge: penalty on standardised states, in
    units of their variance.
    """
    windows, rows, units = states.shape
    assert windows > 1, windows
    assert rows > lags, (rows, lags)
    delayed = np.stack([driven[:, lags - lag : rows - lag] for lag in range(lags + 1)], axis=2)
    states = np.asarray(states[:, lags:], dtype=np.float64)
    half = windows // 2
    fitted, judged = (part.reshape(-1, units) for part in (states[:half], states[half:]))
    wanted, truth = (part.reshape(-1, lags + 1) for part in (delayed[:half], delayed[half:]))
    middle, spread = fitted.mean(0), fitted.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    fitted, judged = (fitted - middle) / spread, (judged - middle) / spread
    penalty = ridge * len(fitted) * np.eye(units)
    weight = np.linalg.solve(fitted.T @ fitted + penalty, fitted.T @ (wanted - wanted.mean(0)))
    squared = _correlation(judged @ weight, truth) ** 2
    squared[squared < chi2.isf(BY_CHANCE, 1) / len(judged)] = 0.0
    return MemoryCapacity(squared, float(squared[1:].sum()), units)


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Column by column; 0 where one is constant."""
    first, second = first - first.mean(0), second - second.mean(0)
    size = np.sqrt((first**2).sum(0) * (second**2).sum(0))
    return np.asarray((first * second).sum(0) / np.where(size > 0, size, np.inf))


def capacity_of(
    model: Forecaster | Network,
    lags: int = MOST_DELAYS,
    windows: int = WINDOWS,
    rows: int = ROWS,
    amplitude: float = 1.0,
    seed: int = 0,
) -> MemoryCapacity | None:
    """Of the last mixer's output in a stack, driven through its own embedding; None of other networks.

    u is uniform with mean 0 and standard deviation `amplitude` (inputs are scaled to 1); every real input is
    u or -u, by a random sign, categories are unknown, and static metadata is left out. rows: of each window
    that are read, after `lags` rows of running in. A saturated network remembers less of a larger input.
    """
    network = network_of(model)
    if not isinstance(network, Stack) or not is_plain(network) or not network.schema.real:
        return None
    generator = np.random.default_rng(seed)
    edge = amplitude * 3.0**0.5
    driven = generator.uniform(-edge, edge, (windows, lags + rows))
    sign = generator.choice([-1.0, 1.0], len(network.schema.real))
    some = next(network.parameters())
    with at_rest(network):
        batch = _driven_batch(network.schema, torch.from_numpy(driven[:, :, None] * sign).to(some))
        hidden: Tensor = network.embed(batch)
        for mixer in network.mixers:
            hidden = mixer(hidden, batch.length)
        return memory_capacity(driven, hidden.double().cpu().numpy(), lags)


def rows_driven(lags: int) -> int:
    """Rows, of all windows, that `capacity_of` runs through."""
    return WINDOWS * (lags + ROWS)


def _driven_batch(schema: InputSchema, real: Tensor) -> SequenceBatch:
    """Windows of given real inputs (B, L, F); all rows are asked, and nothing else is known."""
    windows, rows, _ = real.shape

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64, device=real.device)

    ones = torch.ones(windows, schema.targets, dtype=real.dtype, device=real.device)
    return SequenceBatch(
        real=real,
        category=zeros(windows, rows, len(schema.category)),
        static_real=real.new_zeros(windows, len(schema.static_real)),
        static_category=zeros(windows, len(schema.static_category)),
        series=zeros(windows) - 1,
        time=torch.arange(rows, device=real.device).expand(windows, -1),
        length=zeros(windows) + rows,
        origin=zeros(windows),
        asked=torch.ones(windows, rows, dtype=torch.bool, device=real.device),
        weight=torch.ones(windows, rows, dtype=real.dtype, device=real.device),
        row_id=zeros(windows, rows) - 1,
        location=ones - 1.0,
        scale=ones,
        target=None,
    )
