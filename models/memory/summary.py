"""All that is measured of how far back a trained model uses its data, by one call, at a bounded cost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch

from data.batch import SequenceBatch
from models.forecaster import Forecaster
from models.memory.at_rest import network_of
from models.memory.capacity import MemoryCapacity, capacity_of, rows_driven
from models.memory.decay import DecayFit, LawFit, fit_decay
from models.memory.gradient_by_lag import GradientByLag, gradient_by_lag
from models.memory.perturbation import Perturbation, lag_grid, perturbation
from models.memory.receptive_field import ReceptiveField, change_beyond, reach, receptive_field
from models.memory.retention import Retention, retention
from models.network import Network

#: Windows times rows that the forward passes of the perturbation may take: some seconds on one core.
ROWS_ALTERED = 400_000

#: Fewer windows than this tell nothing about any of them, however long they are.
LEAST_WINDOWS = 8

#: Of the share of `work` that goes into gradients and into the perturbation: a window forward and backward,
#: for each of a few outputs, against a window forward.
PASSES_OF_GRADIENT = 8

#: Of `work`, what the memory capacity may take, or it is left out: of 6e10 less than a second on one core.
SHARE_OF_CAPACITY = 0.25

#: Of the units of a layer, in the summary of its retention.
QUANTILES = (0.1, 0.5, 0.9)


class MemoryOfMember(NamedTuple):
    """What `memory_of` measured. Lags are rows back from an asked row."""

    windows: int  # that it was measured on
    gradient: GradientByLag
    fit: DecayFit | None  # of G from lag 1 on (0 is the row itself); None: too few lags
    reach95: int | None  # lags 0 to this hold 95 % of the gradient's sum; None: no input reaches the output
    perturbation: Perturbation
    receptive_field: ReceptiveField | None  # None: nothing but the window bounds it
    beyond: float | None  # largest change by all inputs outside of it: 0 if it is true; None: all are inside
    retention: list[Retention]  # of recurrent layers and directions
    capacity: MemoryCapacity | None  # None: not asked for, not a stack of mixers, or too much work

    def to_json(self, lags: int = 24) -> dict[str, Any]:
        """A JSON-ready dict: curves whole, retention at a grid of `lags` by quantiles of its units.

        NaN and infinity become None.
        """
        field, capacity = self.receptive_field, self.capacity
        return {
            "windows": self.windows,
            "gradient": {name: _plain(value) for name, value in self.gradient._asdict().items()},
            "fit": None if self.fit is None else _fit_to_json(self.fit),
            "reach95": self.reach95,
            "perturbation": {name: _plain(value) for name, value in self.perturbation._asdict().items()},
            "receptive_field": None if field is None else {**field._asdict(), "rows": field.rows},
            "beyond": self.beyond,
            "retention": [_retention_to_json(layer, lags) for layer in self.retention],
            "capacity": None
            if capacity is None
            else {name: _plain(value) for name, value in capacity._asdict().items()},
        }


def memory_of(
    model: Forecaster | Network,
    batches: Iterable[SequenceBatch],
    windows: int = 64,
    rows: int = 1,
    which: str = "auto",
    lags: int = 20,
    capacity: int = 0,
    seed: int = 0,
    work: float = math.inf,
) -> MemoryOfMember:
    """Everything, on the first `windows` windows of `batches`; the model is left as it was.

    rows, which: asked rows of a window (see `asked_rows`). lags: of the perturbation's grid; for long windows
    it is done on fewer of them. capacity: longest delay of the memory capacity, 0 not to measure it. work:
    about so many parameters times rows may be run through (6e10: some seconds on one core); where a large
    network would need more it is measured on fewer windows, but on 8 of them always, and its
    capacity is left out.
    """
    network = network_of(model)
    taken = _first(batches, windows)
    a_row = sum(parameter.numel() for parameter in network.parameters()) or 1
    a_window = a_row * max((batch.rows for batch in taken), default=1)
    if work < math.inf:
        taken = _first(taken, max(LEAST_WINDOWS, int(work / (PASSES_OF_GRADIENT * a_window))))
    gradient = gradient_by_lag(model, taken, rows, which, seed=seed)
    longest = max(0, len(gradient.total) - 1)
    grid = lag_grid(longest, lags, network.schema.seasonality)
    each = max((batch.rows for batch in taken), default=1) * len(grid) * rows
    altered = _first(taken, max(LEAST_WINDOWS, int(min(ROWS_ALTERED, work / a_row) // each)))
    field = receptive_field(network)
    beyond = [] if field is None else [change_beyond(network, batch, field, seed) for batch in taken]
    lag = np.arange(1, longest + 1)
    affordable = a_row * rows_driven(capacity) <= SHARE_OF_CAPACITY * work
    return MemoryOfMember(
        windows=sum(len(batch.length) for batch in taken),
        gradient=gradient,
        fit=fit_decay(lag, gradient.total[1:], gradient.pairs[1:]),
        reach95=reach(gradient.total),
        perturbation=perturbation(model, altered, grid, rows, which, seed=seed),
        receptive_field=field,
        beyond=max((change for change in beyond if change is not None), default=None),
        retention=retention(model, taken),
        capacity=capacity_of(model, capacity, seed=seed) if capacity and affordable else None,
    )


def _first(batches: Iterable[SequenceBatch], windows: int) -> list[SequenceBatch]:
    """As many batches, the last one cut, as have `windows` windows together."""
    taken: list[SequenceBatch] = []
    for batch in batches:
        if windows <= 0:
            break
        if len(batch.length) > windows:
            batch = batch.select(torch.arange(windows, device=batch.length.device))
        taken.append(batch)
        windows -= len(batch.length)
    return taken


def _plain(value: Any) -> Any:
    """Arrays to lists, NaN and infinity to None."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fit_to_json(fit: DecayFit) -> dict[str, Any]:
    def of_law(law: LawFit) -> dict[str, Any]:
        return {name: _plain(value) for name, value in law._asdict().items()}

    return {
        "exponential": of_law(fit.exponential),
        "power": of_law(fit.power),
        "better": fit.better.law,
        "weight": fit.weight,
        "lags": fit.lags,
        "observations": fit.observations,
    }


def _retention_to_json(layer: Retention, lags: int) -> dict[str, Any]:
    grid = lag_grid(len(layer.kept) - 1, lags)
    kept = np.quantile(layer.kept[grid], QUANTILES, axis=1)
    return {
        "layer": layer.layer,
        "stride": layer.stride,
        "mean_forget": _plain(layer.mean_forget),
        "timescale": _plain(layer.timescale),
        "lag": _plain(layer.lag[grid]),
        "kept": {str(level): _plain(curve) for level, curve in zip(QUANTILES, kept, strict=True)},
        "mean_kept": _plain(layer.kept[grid].mean(1)),
        "windows": _plain(layer.windows[grid]),
    }
