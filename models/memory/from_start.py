"""What is left of a cell's first content row by row, beside the closed forms that it would follow.

The content is the state before the first row, so that after L rows it is the product of the first L gates.
Two closed forms of `models.memory.closed_forms` stand beside it, unit by unit:

    exponential   mean(f)^L                         were every gate its own mean over windows and rows
    power law     (1 / (L + 1))^p                   a pLSTM's with its own p, were its reset gate shut

The latter is from a clock of 0, as it stands where no static metadata sets it (and with the cell's epsilon).
The real curve lies where the data put it: a pLSTM that resets its clock again and again falls faster than its
power law.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from data.batch import SequenceBatch
from models.forecaster import Forecaster
from models.kernels.reference import EPSILON
from models.memory.at_rest import at_rest, network_of
from models.memory.closed_forms import exponential_retention, power_law_retention
from models.memory.forget_gates import LayerGates, cells_of, forget_gates
from models.memory.retention import WINDOWS_AT_ONCE, kept_from_start
from models.mixers.layered import Layered
from models.mixers.plstm import PLSTMCell
from models.network import Network


class FromStart(NamedTuple):
    """Of one layer in one direction; means over units (and windows) by rows from the start, 0 first."""

    layer: str
    stride: int  # rows of a step
    kept: np.ndarray  # (T + 1,)
    exponential: np.ndarray  # (T + 1,)
    power_law: np.ndarray | None  # (T + 1,); None of cells that have no p

    @property
    def row(self) -> np.ndarray:
        """(T + 1,) rows from the start."""
        return np.arange(len(self.kept)) * self.stride


def from_start(model: Forecaster | Network, batches: Iterable[SequenceBatch]) -> list[FromStart]:
    """Of every recurrent layer and direction (see `forget_gates`); empty where a network has none."""
    network = network_of(model)
    powers = _powers(network)
    sums: dict[str, _Sums] = {}
    with at_rest(network):
        for batch in batches:
            for some in torch.arange(len(batch.length), device=batch.length.device).split(WINDOWS_AT_ONCE):
                for gates in forget_gates(network, batch.select(some)):
                    sums.setdefault(gates.layer, _Sums(gates)).add(gates)
    return [of_layer.means(powers.get(name)) for name, of_layer in sums.items()]


def _powers(network: Network) -> dict[str, np.ndarray]:
    """(H,) p of every pLSTM cell by the name of its layer."""
    return {
        called: cell.raw_power.detach().double().sigmoid().cpu().numpy()
        for name, module in network.named_modules()
        if isinstance(module, Layered)
        for called, cell in cells_of(module, name)
        if isinstance(cell, PLSTMCell)
    }


class _Sums:
    """Over windows, of curves that end where a window does."""

    def __init__(self, gates: LayerGates) -> None:
        self._layer, self._stride = gates.layer, gates.stride
        units = gates.log_forget.shape[2]
        self._kept, self._windows = np.zeros((0, units)), np.zeros(0, dtype=np.int64)
        self._gates, self._steps = np.zeros(units), 0

    def add(self, gates: LayerGates) -> None:
        log_forget, length = gates.log_forget.cpu(), gates.length.cpu()
        kept = kept_from_start(log_forget)  # (N, T + 1, H)
        there = torch.arange(kept.shape[1])[None, :] <= length[:, None]
        missing = max(0, kept.shape[1] - len(self._kept))
        self._kept = np.pad(self._kept, ((0, missing), (0, 0)))
        self._windows = np.pad(self._windows, (0, missing))
        self._kept[: kept.shape[1]] += (kept * there[:, :, None]).sum(0).numpy()
        self._windows[: kept.shape[1]] += there.sum(0).numpy()
        self._gates += (log_forget.exp() * there[:, 1:, None]).sum((0, 1)).numpy()
        self._steps += int(there[:, 1:].sum())

    def means(self, power: np.ndarray | None) -> FromStart:
        steps = int((self._windows > 0).sum())
        lag = np.arange(steps)
        kept = self._kept[:steps] / self._windows[:steps, None]
        mean = self._gates / max(self._steps, 1)
        exponential = np.stack([exponential_retention(lag, forget) for forget in mean], axis=1)
        law = None
        if power is not None:
            law = np.stack([power_law_retention(lag, one, 0.0, EPSILON) for one in power], axis=1).mean(1)
        return FromStart(self._layer, self._stride, kept.mean(1), exponential.mean(1), law)
