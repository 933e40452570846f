"""Auxiliary targets: differences of the target, learnt beside it and never predicted.

In the ventilator competition gold teams took the single model from 0.14 to 0.127 by them.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from data.batch import SequenceBatch
from models.losses import weighted_mean

#: The longest lag.
MOST_DIFFERENCES = 4


def difference_loss(output: Tensor, batch: SequenceBatch, every: Tensor | None = None) -> Tensor:
    """() mean over the lags a = 1..A of the mean of |output_a[t] - (y[t] - y[t - a])|, scaled.

    output: (B, L, K, A). A row counts with its weight where the row a before has one too. every: weights of
    all windows, where `batch` is a part of them.
    """
    assert batch.target is not None
    total = output.new_zeros(())
    lags = output.shape[-1]
    for lag in range(1, lags + 1):
        difference = batch.target[:, lag:] - batch.target[:, :-lag]
        each = functional.l1_loss(output[:, lag:, :, lag - 1], difference, reduction="none").mean(-1)
        all_weights = None if every is None else _of_both(every, lag)
        total = total + weighted_mean(each, _of_both(batch.weight, lag), all_weights)
    return total / lags


def _of_both(weight: Tensor, lag: int) -> Tensor:
    """(B, L - lag) weights of the rows from `lag` on whose row `lag` before has one."""
    return weight[:, lag:] * (weight[:, :-lag] > 0)
