"""How strongly a prediction hangs on the inputs of a row, by how far back that row is.

    G(tau) = E || d y_T / d x_{T - tau} ||

The expectation is over windows and asked rows T that have a row tau rows back. The norm is Frobenius', over
all outputs y of row T (scaled units) and all inputs x of a row: real ones as they enter the network, scaled,
and categories as the vectors that they are looked up as. Columns that are blanked at a row (past-only ones
from the origin on) take no part. After Bengio, Simard and Frasconi 1994, "Learning long-term dependencies
with gradient descent is difficult", who show that G of a recurrent network falls exponentially where it
stores robustly; as an effective receptive field: Luo, Li, Urtasun and Zemel 2016, arXiv 1701.04128.

One backward pass differentiates one number a window: since windows do not depend on each other it takes the
same row of all of them at once. For several rows or outputs a window stands several times in the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.batch import SequenceBatch
from models.forecaster import Forecaster
from models.memory.asked_rows import asked_rows, shown_inputs
from models.memory.at_rest import at_rest, network_of
from models.memory.looked_up_codes import LookedUpCodes
from models.network import Network

#: Up to so many outputs the Jacobian is exact, a pass an output; for more its norm is estimated by as many
#: random signs v: E ||v' J||^2 = ||J||^2 (Hutchinson 1990).
PASSES = 4


class GradientByLag(NamedTuple):
    """Means by lag, 0 first; NaN at a lag that no window reaches."""

    total: np.ndarray  # (lags,) float64
    real: np.ndarray  # the part of real inputs: total^2 = real^2 + category^2 in each window
    category: np.ndarray  # the part of embedded categories
    pairs: np.ndarray  # (lags,) int64: windows times asked rows that a mean is over
    future: float  # share of the gradient that is on rows after T; 0 for a causal network


def gradient_by_lag(
    model: Forecaster | Network,
    batches: Iterable[SequenceBatch],
    rows: int = 1,
    which: str = "auto",
    at_once: int = 64,
    seed: int = 0,
) -> GradientByLag:
    """G by lag. rows, which: asked rows of a window (see `asked_rows`); at_once: windows of a backward pass.

    The model is left as it was, and no parameter gets a gradient. Raises InputError for an unknown `which`.
    """
    network = network_of(model)
    sums = _Sums()
    signs = torch.Generator().manual_seed(seed)
    with at_rest(network, gradient=True):
        for batch in batches:
            row = asked_rows(batch, network.schema, rows, which)
            chosen = (row >= 0).nonzero()  # (N, 2): window, place in `row`
            passes = min(network.schema.targets * network.outputs, PASSES)
            step = max(1, at_once // passes)
            for first in range(0, len(chosen), step):
                window, place = chosen[first : first + step].T
                # (N * passes) windows, the passes of a window side by side
                copies = batch.select(window.repeat_interleave(passes))
                at = row[window, place].repeat_interleave(passes)
                real, category = _squared_norms(network, copies, at, passes, signs)
                used = copies.used()[::passes]
                sums.add(real.cpu(), category.cpu(), at[::passes].cpu(), used.cpu())
    return sums.means()


def _squared_norms(
    network: Network, batch: SequenceBatch, row: Tensor, passes: int, signs: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(N, L) each, float64: squared norms by row of the window, for reals and categories.

    batch: N windows, each `passes` times in a row; row: (N * passes,) T.
    """
    batch = batch._replace(target=None, real=batch.real.clone().requires_grad_(True))
    codes = LookedUpCodes(network)
    has_codes = bool(codes.tables) and batch.category.numel() > 0
    if has_codes:
        with torch.no_grad(), codes.noting():
            network(batch._replace(category=codes.tagged(batch.category)))
        with codes.probing():
            output = network(batch)
    else:
        output = network(batch)
    asked = output[torch.arange(len(row), device=row.device), row]  # (N * passes, K * P)
    outputs = asked.shape[1]
    if outputs == passes:
        direction = torch.eye(outputs).repeat(len(row) // passes, 1)
    else:
        direction = torch.randint(0, 2, asked.shape, generator=signs) * 2.0 - 1.0
        direction /= passes**0.5  # so that the squares' sum over the passes is their mean
    inputs = [batch.real, *codes.probes]
    gradients: list[Tensor | None] = [None] * len(inputs)
    if asked.requires_grad:  # else nothing that it reads reaches the output
        value = (asked * direction.to(asked)).sum()
        gradients = list(torch.autograd.grad(value, inputs, allow_unused=True))
    shown_real, shown_category = shown_inputs(batch, network.schema)
    of_real = torch.zeros_like(batch.real) if gradients[0] is None else gradients[0]
    real = (of_real.double().square() * shown_real).sum(2)
    category = torch.zeros_like(real)
    if has_codes:
        squared = codes.squared(gradients[1:], batch.category.shape)
        category = (squared.to(real) * shown_category).sum(2)
    return (part.view(-1, passes, batch.rows).sum(1) for part in (real, category))  # type: ignore[return-value]


class _Sums:
    """Of norms by lag; rows after T are added up in one number."""

    def __init__(self) -> None:
        self._parts = np.zeros((3, 0))  # total, real, category
        self._pairs = np.zeros(0, dtype=np.int64)
        self._future = 0.0

    def add(self, real: Tensor, category: Tensor, row: Tensor, used: Tensor) -> None:
        """real, category: (N, L) squared norms; row: (N,) T; used: (N, L) bool."""
        rows = real.shape[1]
        if rows > len(self._pairs):
            more = rows - len(self._pairs)
            self._parts = np.pad(self._parts, ((0, 0), (0, more)))
            self._pairs = np.pad(self._pairs, (0, more))
        lag = row[:, None] - torch.arange(rows)[None, :]
        back = (used & (lag >= 0)).numpy()
        lags = lag.numpy()[back]
        for part, squared in zip(self._parts, (real + category, real, category), strict=True):
            part[:rows] += np.bincount(lags, squared.sqrt().numpy()[back], minlength=rows)
        self._pairs[:rows] += np.bincount(lags, minlength=rows)
        self._future += float(((real + category).sqrt() * (used & (lag < 0))).sum())

    def means(self) -> GradientByLag:
        reached = np.flatnonzero(self._pairs)
        lags = int(reached[-1]) + 1 if len(reached) else 0
        means = self._parts[:, :lags] / np.where(self._pairs > 0, self._pairs, np.nan)[:lags]
        everything = float(self._parts[0].sum()) + self._future
        share = self._future / everything if everything > 0 else 0.0
        return GradientByLag(means[0], means[1], means[2], self._pairs[:lags], share)
