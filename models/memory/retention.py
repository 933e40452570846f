"""How much of a cell's content is left after so many rows, on given data, unit by unit.

    retention(L) = E prod_{j=0..L-1} f_{T-j}          what was in the cell L rows before its last row
    timescale    = -1 / ln(mean f)                    rows until 1/e is left, were the gate constant

The expectation is over windows. What is written later may still cover it, and the output gate may hide it:
retention is what a cell could know, the gradient (models/memory/gradient_by_lag.py) what is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.batch import SequenceBatch
from models.forecaster import Forecaster
from models.memory.at_rest import at_rest, network_of
from models.memory.closed_forms import timescale
from models.memory.forget_gates import LayerGates, forget_gates
from models.network import Network

#: Gates are (windows, rows, units) in float64, and so is their product.
WINDOWS_AT_ONCE = 16


class Retention(NamedTuple):
    """Of one layer in one direction; H units, lags in steps of `stride` rows."""

    layer: str
    stride: int  # rows of a step
    mean_forget: np.ndarray  # (H,): over windows and rows
    timescale: np.ndarray  # (H,) rows; inf for a gate that keeps everything
    kept: np.ndarray  # (lags, H): retention, lag 0 first, which is 1
    windows: np.ndarray  # (lags,) int64: that are long enough for a lag

    @property
    def lag(self) -> np.ndarray:
        """(lags,) rows."""
        return np.arange(len(self.kept)) * self.stride


def retention(model: Forecaster | Network, batches: Iterable[SequenceBatch]) -> list[Retention]:
    """Of every recurrent layer and direction (see `forget_gates`); empty where a network has none."""
    network = network_of(model)
    sums: dict[str, _Sums] = {}
    with at_rest(network):
        for batch in batches:
            for some in torch.arange(len(batch.length), device=batch.length.device).split(WINDOWS_AT_ONCE):
                for gates in forget_gates(network, batch.select(some)):
                    sums.setdefault(gates.layer, _Sums(gates)).add(gates)
    return [of_layer.means() for of_layer in sums.values()]


def kept_from_start(log_forget: Tensor) -> Tensor:
    """(N, T + 1, H): what is left of the initial content after 0, 1, .. T steps."""
    return _cumulated(log_forget).exp()


def kept_to_end(log_forget: Tensor, length: Tensor) -> Tensor:
    """(N, T + 1, H): what the last step in use has left of the content 0, 1, .. T steps before it.

    NaN at lags that a window's `length` (N,) does not reach.
    """
    cumulated = _cumulated(log_forget)
    steps = torch.arange(cumulated.shape[1], device=length.device)
    begin = length[:, None] - steps[None, :]  # (N, T + 1)
    index = begin.clamp(min=0)[:, :, None].expand_as(cumulated)
    end = cumulated.gather(1, length[:, None, None].expand(-1, 1, cumulated.shape[2]))
    return (end - cumulated.gather(1, index)).exp().masked_fill((begin < 0)[:, :, None], torch.nan)


def _cumulated(log_forget: Tensor) -> Tensor:
    return torch.nn.functional.pad(log_forget.cumsum(1), (0, 0, 1, 0))


class _Sums:
    def __init__(self, gates: LayerGates) -> None:
        self._layer, self._stride = gates.layer, gates.stride
        units = gates.log_forget.shape[2]
        self._steps, self._lost = 0, np.zeros(units)  # sum of f - 1 over steps
        self._kept, self._windows = np.zeros((0, units)), np.zeros(0, dtype=np.int64)

    def add(self, gates: LayerGates) -> None:
        log_forget, length = gates.log_forget.cpu(), gates.length.cpu()
        used = torch.arange(log_forget.shape[1])[None, :] < length[:, None]
        self._steps += int(used.sum())
        self._lost += (torch.expm1(log_forget) * used[:, :, None]).sum((0, 1)).numpy()
        kept = kept_to_end(log_forget, length)
        missing = max(0, kept.shape[1] - len(self._kept))
        self._kept = np.pad(self._kept, ((0, missing), (0, 0)))
        self._windows = np.pad(self._windows, (0, missing))
        self._kept[: kept.shape[1]] += kept.nansum(0).numpy()
        self._windows[: kept.shape[1]] += (~kept[:, :, 0].isnan()).sum(0).numpy()

    def means(self) -> Retention:
        lost = self._lost / max(self._steps, 1)
        lags = int((self._windows > 0).sum())
        kept = self._kept[:lags] / self._windows[:lags, None]
        scale = timescale(lost) * self._stride
        return Retention(self._layer, self._stride, 1.0 + lost, scale, kept, self._windows[:lags])
