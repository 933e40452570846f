"""How much a prediction changes when one row of its inputs comes from another window, by how far back it is.

    change(tau) = E | y_T(x with x_{T - tau} of another window) - y_T(x) | / sd(y_T)

As a permutation importance (Breiman 2001) of a single row: the other window's row is as far back from its
own asked row, so that the values are typical of the place, and only what they have to do with this window is
lost. Unlike the gradient it is of the size of real differences, and it knows what a saturated gate hides.

Padding and what is asked stay as they are, and columns that are blanked at the row stay blank. y is the point
forecast in scaled units; of a bare network all its outputs, each by its own standard deviation. Of a head of
classes, whose numbers say nothing of how far apart they are, it is the share of windows whose class changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.batch import SequenceBatch
from models.forecaster import Forecaster
from models.heads.classes import ClassesHead
from models.memory.asked_rows import asked_rows, shown_inputs
from models.memory.at_rest import at_rest, network_of
from models.network import Network

#: Of the largest prediction: what differs by less is the same, but for rounding.
RESOLUTION = 1e-6


class Perturbation(NamedTuple):
    """Means at a grid of lags; NaN where fewer than two windows of a batch reach so far.

    The change of a prediction that is the same for all windows has no unit: it is 0, or NaN if there is one.
    """

    lag: np.ndarray  # (lags,) int64
    change: np.ndarray  # (lags,) float64, in standard deviations of the prediction; of classes a share
    pairs: np.ndarray  # (lags,) int64: altered windows that a mean is over
    classes: bool = False  # whether it is the share of windows whose class changes


def lag_grid(longest: int, count: int, seasons: Sequence[int] = ()) -> np.ndarray:
    """About `count` lags from 0 to `longest`, each a constant factor beyond the last, and the seasons."""
    if longest < 1:
        return np.zeros(1, dtype=np.int64)
    spread = np.rint(np.geomspace(1, longest, max(2, count - 1))).astype(np.int64)
    return np.unique([0, *spread, *(season for season in seasons if season <= longest)])


def perturbation(
    model: Forecaster | Network,
    batches: Iterable[SequenceBatch],
    lags: Sequence[int] | np.ndarray,
    rows: int = 1,
    which: str = "auto",
    at_once: int = 256,
    seed: int = 0,
) -> Perturbation:
    """The change by lag. rows, which: see `asked_rows`; at_once: altered windows of a forward pass.

    Windows are swapped within a batch, so a batch of one tells nothing.
    """
    network = network_of(model)
    classes = isinstance(model, Forecaster) and isinstance(model.head, ClassesHead)
    grid = np.asarray(lags, dtype=np.int64)
    generator = np.random.default_rng(seed)
    predictions: list[Tensor] = []
    total: Tensor | None = None  # (lags, outputs)
    pairs = np.zeros(len(grid), dtype=np.int64)
    with at_rest(model):
        for batch in batches:
            batch = batch._replace(target=None)
            whole = _predict(model, batch)
            for row in asked_rows(batch, network.schema, rows, which).T:  # (B,)
                there = (row >= 0).nonzero()[:, 0]
                predictions.append(whole[there, row[there]].double().cpu())
                swaps = _swaps(row.cpu().numpy(), grid, generator)
                pairs += np.bincount(swaps[:, 2], minlength=len(grid))
                if total is None:
                    total = torch.zeros(len(grid), whole.shape[2], dtype=torch.float64)
                for some in torch.from_numpy(swaps).split(at_once):
                    window, other, place = some.to(row.device).T
                    lag = torch.from_numpy(grid).to(row.device)[place]
                    altered = _altered(network, batch, window, row[window] - lag, other, row[other] - lag)
                    moved = _predict(model, altered)[torch.arange(len(window)), row[window]]
                    change = (moved - whole[window, row[window]]).abs().double().cpu()
                    change = (change > 0).double() if classes else change
                    total.index_add_(0, place.cpu(), change)
    if total is None:
        return Perturbation(grid, np.full(len(grid), np.nan), pairs, classes)
    mean = total.numpy() / np.where(pairs > 0, pairs, np.nan)[:, None]
    each = mean if classes else _in_deviations(mean, torch.cat(predictions).numpy())
    known = np.isfinite(each)
    change_by_lag = np.where(known, each, 0.0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
    return Perturbation(grid, change_by_lag, pairs, classes)


def _in_deviations(change: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """(lags, outputs): mean changes by the standard deviation of the predictions (N, outputs)."""
    deviation = predictions.std(0)
    rounding = RESOLUTION * np.abs(predictions).max(0)
    constant = deviation <= rounding
    of_constant = np.where(change <= rounding, 0.0, np.nan)
    return np.where(constant, of_constant, change / np.where(constant, 1.0, deviation))


def _predict(model: Forecaster | Network, batch: SequenceBatch) -> Tensor:
    """(B, L, outputs): scaled point forecasts, or all that a bare network gives."""
    if isinstance(model, Forecaster):
        return model.head.forecast(model(batch))[..., 0]
    output: Tensor = model(batch)
    return output


def _swaps(row: np.ndarray, grid: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(N, 3): a window, another one that lends it a row, and the place of the lag in the grid.

    row: (B,) asked rows, -1 for none. At each lag all windows that reach so far stand in a random ring, and
    each borrows from the next.
    """
    found = [np.zeros((0, 3), dtype=np.int64)]
    for place, lag in enumerate(grid):
        ring = generator.permutation(np.flatnonzero((row >= 0) & (row >= lag)))
        if len(ring) > 1:
            found.append(np.stack([ring, np.roll(ring, 1), np.full(len(ring), place)], axis=1))
    return np.concatenate(found)


def _altered(
    network: Network, batch: SequenceBatch, window: Tensor, row: Tensor, other: Tensor, from_row: Tensor
) -> SequenceBatch:
    """The windows `window` (N,), each with the inputs of its row `row` from row `from_row` of `other`."""
    number = torch.arange(len(window), device=window.device)
    copies = batch.select(window)
    shown_real, shown_category = shown_inputs(batch, network.schema)
    real, category = copies.real, copies.category  # copies already
    for values, lent, shown in (
        (real, batch.real, shown_real),
        (category, batch.category, shown_category),
    ):
        both = shown[window, row] & shown[other, from_row]
        values[number, row] = torch.where(both, lent[other, from_row], values[number, row])
    return copies
